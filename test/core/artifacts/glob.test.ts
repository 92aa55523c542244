import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compileGlob } from '../../../worker/core/artifacts/glob.ts';

const refused = expect.objectContaining({ code: 'invalid_argument' });

describe('native', () => {
  const matches = (pattern: string, path: string): boolean => compileGlob(pattern, { flavour: 'native' }).matches(path);

  test.each([
    ['/main.py', ['/main.py'], ['/a/main.py', '/main.pyc', '/Main.py']],
    ['main.py', ['/main.py'], ['/a/main.py']],
    ['*.py', ['/main.py', '/.py'], ['/a/main.py']],
    ['**/*.md', ['/a.md', '/x/a.md', '/x/y/a.md', '/x//a.md'], ['/a.mdx', '/md']],
    ['/docs/**', ['/docs/a', '/docs/a/b'], ['/docs', '/docs2/a']],
    ['/docs/**/b', ['/docs/b', '/docs/a/b', '/docs/a/c/b'], ['/docs/ab', '/docsb']],
    ['/a**b', ['/ab', '/axb', '/a/x/b'], ['/ba']],
    ['/a?c', ['/abc', '/aéc', '/a😀c'], ['/a/c', '/ac', '/abbc']],
    ['/[abc].txt', ['/a.txt', '/c.txt'], ['/d.txt', '/ab.txt']],
    ['/[!a-z]', ['/A', '/é', '/1'], ['/a', '//']],
    ['/[^a-z]', ['/A'], ['/a']],
    ['/x[+-0]y', ['/x+y', '/x0y', '/x.y'], ['/x/y']],
    ['/x[/]y', [], ['/x/y', '/xy']],
    ['/[]-]', ['/]', '/-'], ['/a']],
    ['/[\\]\\-a]', ['/]', '/-', '/a'], ['/b']],
    ['/\\*', ['/*'], ['/a']],
    ['/{a,b}.txt', ['/a.txt', '/b.txt'], ['/c.txt', '/a,b.txt']],
    ['/{a,b{c,d}}', ['/a', '/bc', '/bd'], ['/b']],
    ['/x{,.bak}', ['/x', '/x.bak'], ['/x.']],
    ['/{**/x,y}', ['/x', '/a/b/x', '/y'], ['/a/y', '/ax']],
    ['/a}b,c', ['/a}b,c'], []],
    ['/a.b+c^$(d)|e', ['/a.b+c^$(d)|e'], ['/aXb+c^$(d)|e']],
    ['/_%', ['/_%'], ['/ab']],
    ['/line\n*', ['/line\nbreak'], ['/line']],
  ])('%j', (pattern, matching, others) => {
    for (const path of matching) expect([path, matches(pattern, path)]).toEqual([path, true]);
    for (const path of others) expect([path, matches(pattern, path)]).toEqual([path, false]);
  });

  test.each(['', '/[a', '/[', '/[]', '/{a', '/{a,{b}', '/a\\', '/[z-a]', '/\ud800', 'é'.repeat(513), '{'.repeat(33)])(
    '%j is refused in a sentence',
    (pattern) => {
      expect(() => compileGlob(pattern, { flavour: 'native' })).toThrow(refused);
    },
  );

  interface Part {
    glob: string;
    /** Where in the path it can end when it starts at `from`. */
    ends: (path: string, from: number) => number[];
  }
  const upTo = (path: string, from: number, ok: (character: string) => boolean): number[] => {
    const ends = [from];
    for (let at = from; at < path.length && ok(path.charAt(at)); at += 1) ends.push(at + 1);
    return ends;
  };
  const one = (ok: (character: string) => boolean) => (path: string, from: number) =>
    from < path.length && ok(path.charAt(from)) ? [from + 1] : [];
  const simple: fc.Arbitrary<Part> = fc.constantFrom<Part>(
    ...Array.from('ab.,}', (character) => ({ glob: `\\${character}`, ends: one((at) => at === character) })),
    { glob: 'a', ends: one((at) => at === 'a') },
    { glob: '/b', ends: (path, from) => (path.startsWith('/b', from) ? [from + 2] : []) },
    { glob: '?', ends: one((at) => at !== '/') },
    { glob: '[!a]', ends: one((at) => at !== '/' && at !== 'a') },
    { glob: '[.-b]', ends: one((at) => at !== '/' && at >= '.' && at <= 'b') },
    // Followed by something, or two would be one of another kind.
    {
      glob: '*b',
      ends: (path, from) =>
        after(
          'b',
          path,
          upTo(path, from, (at) => at !== '/'),
        ),
    },
    {
      glob: 'a**b',
      ends: (path, from) =>
        path[from] === 'a'
          ? after(
              'b',
              path,
              upTo(path, from + 1, () => true),
            )
          : [],
    },
    { glob: '/**/a', ends: (path, from) => (path[from] === '/' ? segments(path, from + 1) : []) },
  );
  const after = (literal: string, path: string, ends: number[]): number[] =>
    ends.filter((end) => path.startsWith(literal, end)).map((end) => end + literal.length);
  const segments = (path: string, from: number): number[] =>
    after(
      'a',
      path,
      upTo(path, from, () => true).filter((end) => end === from || path[end - 1] === '/'),
    );
  const sequence = (parts: readonly Part[]): Part => ({
    glob: parts.map(({ glob }) => glob).join(''),
    ends: (path, from) =>
      parts.reduce<number[]>((starts, part) => [...new Set(starts.flatMap((start) => part.ends(path, start)))], [from]),
  });
  const part = fc.oneof(
    { weight: 4, arbitrary: simple },
    {
      weight: 1,
      arbitrary: fc
        .array(fc.array(simple, { maxLength: 2 }).map(sequence), { minLength: 1, maxLength: 3 })
        .map((alternatives): Part => ({
          glob: `{${alternatives.map(({ glob }) => glob).join(',')}}`,
          ends: (path, from) => alternatives.flatMap(({ ends }) => ends(path, from)),
        })),
    },
  );
  const path = fc
    .string({ unit: fc.constantFrom('a', 'b', '/', '.', ',', '}'), maxLength: 8 })
    .map((text) => `/${text}`);

  test('it agrees with a naive matcher, and every match begins with the literal prefix', () => {
    fc.assert(
      fc.property(fc.array(part, { maxLength: 5 }), path, (parts, fullPath) => {
        const naive = sequence([{ glob: '/', ends: one((at) => at === '/') }, ...parts]);
        const glob = compileGlob(naive.glob, { flavour: 'native' });
        expect(glob.matches(fullPath)).toBe(naive.ends(fullPath, 0).includes(fullPath.length));
        expect(!glob.matches(fullPath) || fullPath.startsWith(glob.literalPrefix)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  test.each([
    ['/docs/a*', '/docs/a'],
    ['docs/**/x', '/docs/'],
    ['/a\\*b[c]', '/a*b'],
    ['/a{b,c}', '/a'],
    ['**/*.md', '/'],
    ['/whole', '/whole'],
  ])('the literal prefix of %s is %s', (pattern, prefix) => {
    expect(compileGlob(pattern, { flavour: 'native' }).literalPrefix).toBe(prefix);
  });
});

describe('acontext', () => {
  const matches = (pattern: string, path: string): boolean =>
    compileGlob(pattern, { flavour: 'acontext' }).matches(path);

  test.each([
    ['*.py', ['/x/y.py', '/main.py', '/.py'], ['/main.pyc', '/main.PY']],
    ['**/*.md', ['/a.md', '/x/y/a.md'], ['/amd']],
    ['main.py', [], ['/main.py', '/x/main.py']],
    ['/docs/*', ['/docs/a', '/docs/a/b'], ['/docs', '/other/docs/a']],
    ['/a?c', ['/abc', '/a/c', '/a😀c'], ['/ac']],
    ['/a_c%', ['/a_c%'], ['/abc', '/abcd']],
    ['/[a]{b,c}\\*', ['/[a]{b,c}\\', '/[a]{b,c}\\d'], ['/ab', '/[a]{b,c}*']],
    ['*TODO*', ['/TODO', '/x/TODO.md'], ['/todo']],
    ['*', ['/a', '/a/b\nc'], []],
  ])('%j', (pattern, matching, others) => {
    for (const path of matching) expect([path, matches(pattern, path)]).toEqual([path, true]);
    for (const path of others) expect([path, matches(pattern, path)]).toEqual([path, false]);
  });

  const naive = (pattern: string, path: string): boolean => {
    if (pattern === '') return path === '';
    if (pattern.startsWith('*')) {
      return naive(pattern.slice(1), path) || (path !== '' && naive(pattern, path.slice(1)));
    }
    return path !== '' && (pattern[0] === '?' || pattern[0] === path[0]) && naive(pattern.slice(1), path.slice(1));
  };

  test('it agrees with a naive matcher, and every match begins with the literal prefix', () => {
    const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '/', '*', '?', '%', '['), minLength: 1, maxLength: 7 });
    const path = fc.string({ unit: fc.constantFrom('a', 'b', '/', '%', '['), maxLength: 8 });
    fc.assert(
      fc.property(pattern, path, (query, fullPath) => {
        const glob = compileGlob(query, { flavour: 'acontext' });
        expect(glob.matches(fullPath)).toBe(naive(query, fullPath));
        expect(!glob.matches(fullPath) || fullPath.startsWith(glob.literalPrefix)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  test('an empty pattern is refused', () => {
    expect(() => compileGlob('', { flavour: 'acontext' })).toThrow(refused);
  });
});

test.each(['native', 'acontext'] as const)('no pattern takes long on a path of 1,024 bytes (%s)', (flavour) => {
  const wide = `/${'a'.repeat(1023)}`;
  const mixed = `/${Array.from({ length: 1023 }, (_, index) => ((index * index) % 7 < 3 ? 'a' : 'b')).join('')}`;
  const hostile = [
    `${'*a'.repeat(511)}b`,
    `${'**a'.repeat(340)}b`,
    `/${'*?'.repeat(500)}b`,
    `/*a${'?'.repeat(1000)}`,
    `/*a${'?'.repeat(500)}c*`,
    `/${'{a,*a}'.repeat(160)}c`,
    `/${'{,a}'.repeat(250)}${'a'.repeat(20)}c`,
    `/**/${'**/'.repeat(300)}c`,
    `/${'[a-b]*'.repeat(160)}c`,
  ];
  for (const pattern of hostile) {
    const glob = compileGlob(pattern, { flavour });
    for (const path of [wide, mixed]) {
      const started = performance.now();
      glob.matches(path);
      const tookMs = performance.now() - started;
      expect(tookMs).toBeLessThan(1000);
    }
  }
});
