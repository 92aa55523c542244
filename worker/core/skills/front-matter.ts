import { CST, isMap, isScalar, Lexer, parseDocument } from 'yaml';
import type { Pair } from 'yaml';
import { ServiceError } from '../errors.ts';

export const frontMatterBounds = {
  /** Between the two lines of dashes. */
  yamlBytesMax: 64 * 1024,
  /** Names, values and signs: what the parser's time depends on. */
  tokensMax: 10_000,
  flowDepthMax: 32,
  /** Of UTF-8. A directory's name may have 255. */
  nameBytesMax: 128,
  descriptionCharsMax: 8192,
} as const;

export interface FrontMatter {
  /** As sanitizeSkillName has it: fit to be a directory's name. */
  name: string;
  description: string;
}

const invalid = (message: string, cause?: unknown): ServiceError =>
  new ServiceError('invalid_argument', `SKILL.md ${message}.`, { cause });

/** From SKILL.md's text, or its beginning. Throws invalid_argument with what is wrong. */
export function readFrontMatter(skill: Uint8Array): FrontMatter {
  const yaml = yamlOf(skill);
  const pairs = pairsOf(yaml);
  const description = textIn(pairs, 'description').trim();
  if (description.length > frontMatterBounds.descriptionCharsMax) {
    throw invalid(`has a description of more than ${frontMatterBounds.descriptionCharsMax} characters`);
  }
  return { name: sanitizeSkillName(textIn(pairs, 'name')), description };
}

/** What the reference replaces, and control characters, which no directory should have in its name. */
// oxlint-disable-next-line no-control-regex
const unfit = /[ /\\:*?"<>|\u0000-\u001f\u007f]/g;

/** A skill's name as the directory that it is mounted in. Throws invalid_argument for one that can't be. */
export function sanitizeSkillName(name: string): string {
  const sanitized = name.trim().replace(unfit, '-');
  if (sanitized === '') throw invalid('has an empty name');
  if (sanitized === '.' || sanitized === '..') throw invalid(`has the name «${sanitized}», which is no directory's`);
  if (new TextEncoder().encode(sanitized).length > frontMatterBounds.nameBytesMax) {
    throw invalid(`has a name of more than ${frontMatterBounds.nameBytesMax} bytes`);
  }
  return sanitized;
}

/** What stands between a first line «---» and the next. */
function yamlOf(skill: Uint8Array): string {
  const { yamlBytesMax } = frontMatterBounds;
  // The lines of dashes, and a byte order mark, come on top.
  const head = skill.subarray(0, yamlBytesMax + 64);
  let text: string;
  try {
    // A character that is cut at the head's end is not an error.
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(head, {
      stream: head.length < skill.length,
    });
  } catch (error) {
    throw invalid('is not UTF-8', error);
  }
  const opening = /^---[ \t]*\r?\n/.exec(text);
  if (opening === null) throw invalid('has no front matter: its first line must be «---»');
  const rest = text.slice(opening[0].length);
  const closing = /^(?:---|\.\.\.)[ \t]*\r?$/m.exec(rest);
  if (closing === null) {
    throw invalid(
      head.length < skill.length
        ? `has a front matter of more than ${yamlBytesMax} bytes`
        : 'has a front matter without an end: a line «---»',
    );
  }
  return rest.slice(0, closing.index);
}

function pairsOf(yaml: string): Pair[] {
  refuseCostly(yaml);
  // Unique keys are checked by comparing each with all others.
  const document = parseDocument(yaml, { prettyErrors: false, uniqueKeys: false, logLevel: 'silent' });
  const [error] = document.errors;
  if (error !== undefined) {
    throw invalid(`has a front matter that is no YAML (character ${error.pos[0]}): ${error.message}`, error);
  }
  if (!isMap(document.contents)) throw invalid('has a front matter that is no list of fields «name: value»');
  return document.contents.items;
}

/**
 * The parser takes minutes over some texts of 64 KiB: explicit keys within each other, above all. What it does not take
 * long over is nested little and has few tokens, which is all that a front matter needs.
 */
function refuseCostly(yaml: string): void {
  let tokens = 0;
  let depth = 0;
  for (const lexeme of new Lexer().lex(yaml)) {
    tokens += 1;
    if (tokens > frontMatterBounds.tokensMax) throw invalid('has a front matter of too many words');
    switch (CST.tokenType(lexeme)) {
      case 'explicit-key-ind':
      case 'anchor':
      case 'alias':
        throw invalid(
          'has a front matter with «?», «&» or «*» (complex keys, anchors, aliases), which are not accepted',
        );
      case 'flow-map-start':
      case 'flow-seq-start':
        depth += 1;
        if (depth > frontMatterBounds.flowDepthMax) throw invalid('has a front matter that is nested too deeply');
        break;
      case 'flow-map-end':
      case 'flow-seq-end':
        depth -= 1;
        break;
      default:
    }
  }
}

function textIn(pairs: Pair[], key: string): string {
  const found = pairs.filter((pair) => isScalar(pair.key) && pair.key.value === key);
  if (found.length > 1) throw invalid(`has more than one ${key}`);
  const node = found[0]?.value;
  if (!isScalar(node) || node.value === null) throw invalid(`has no ${key} in its front matter`);
  // A number or a date is meant as it is written: 1.10, not 1.1.
  const text = typeof node.value === 'string' ? node.value : (node.source ?? '');
  if (!text.isWellFormed()) throw invalid(`has a ${key} that is not Unicode`);
  if (text.trim() === '') throw invalid(`has an empty ${key}`);
  return text;
}
