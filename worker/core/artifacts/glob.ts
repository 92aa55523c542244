import { RE2JS } from 're2js';
import { translateAcontextGlob, translateGlob } from './glob-pattern.ts';
import { requirePattern } from './search-pattern.ts';

export interface Glob {
  /** Of a full path, '/dir/name'; the whole of it has to fit, case and all. */
  matches(fullPath: string): boolean;
  /** What every match begins with: the range of the index to look through. */
  literalPrefix: string;
}

/**
 * native: '*' and '?' within a segment, '**' across, [a-z], [!a-z], {a,b}, '\' escapes; begins at the root, with or without '/'.
 * acontext: '*' and '**' any characters, '?' any one, all else itself.
 *
 * Both become a regular expression of RE2's, so a match takes time proportional to pattern × path at worst, whatever the pattern.
 */
export const compileGlob = (pattern: string, { flavour }: { flavour: 'native' | 'acontext' }): Glob => {
  requirePattern(pattern);
  const { expression, literalPrefix } = flavour === 'native' ? translateGlob(pattern) : translateAcontextGlob(pattern);
  const compiled = RE2JS.compile(expression, RE2JS.DOTALL);
  return {
    literalPrefix,
    matches: (fullPath) => fullPath.startsWith(literalPrefix) && compiled.testExact(fullPath),
  };
};
