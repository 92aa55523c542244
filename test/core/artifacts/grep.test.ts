import * as fc from 'fast-check';
import { RE2JS } from 're2js';
import { describe, expect, test } from 'vitest';
import { compileGrep } from '../../../worker/core/artifacts/grep.ts';

const refused = (sentence: RegExp) =>
  expect.objectContaining({ code: 'invalid_argument', message: expect.stringMatching(sentence) });

describe("acontext: PostgreSQL's ~*", () => {
  const finds = (pattern: string, text: string): boolean => compileGrep(pattern, { flavour: 'acontext' }).test(text);

  test.each([
    ['todo', ['x TODO y', 'todo'], ['to do']],
    ['TODO.*', ['// todo: later'], ['done']],
    ['é', ['É'], ['e']],
    ['a.c', ['a\nc', 'A😀C'], ['ac']],
    ['^a', ['ab\nb'], ['b\nab']],
    ['a$', ['b\na'], ['a\nb', 'a\n']],
    ['^$', [''], ['\n']],
    ['a|b', ['B'], ['c']],
    ['(a)(b)?', ['a'], ['b']],
    ['(?:ab)+c', ['ababc'], ['c']],
    ['a(?#comment)b', ['ab'], ['a(?#comment)b']],
    ['ab{2}', ['abb'], ['ab']],
    ['ab{2,3}?$', ['abbb'], ['abbbb']],
    ['a{b', ['a{b'], ['aab']],
    ['a{,2}', ['a{,2}'], ['aa']],
    ['a]}', ['a]}'], ['a']],
    ['a\\.b', ['a.b'], ['axb']],
    ['\\/\\é', ['/é'], ['é/']],
    ['\\d\\D\\s\\S\\w\\W', ['1a b_.', '1é\u00a0xé!'], ['aa b_.']],
    ['^\\w+$', ['été_1', '世界'], ['a b']],
    ['\\mcat\\M', ['a cat.', 'CAT'], ['concat', 'cats']],
    ['[[:<:]]cat[[:>:]]', ['a cat.'], ['concat', 'cats']],
    ['\\ycat\\y', ['a cat.'], ['cats']],
    ['\\Ycat', ['concat'], ['a cat']],
    ['\\bcat\\b', ['a cat.'], ['concat']],
    ['\\Acat\\Z', ['cat'], ['cat\n', '\ncat']],
    ['\\x41\\u00e9\\U0001f600\\t\\cA\\e\\v\\012', ['aé😀\t\u0001\u001b\u000b\n'], ['x']],
    ['[]a]', [']', 'A'], ['b']],
    ['[^]a]', ['b', '\n'], [']', 'A']],
    ['[a-]', ['-', 'a'], ['b']],
    ['[+--]x', ['+x', ',x', '-x'], ['.x']],
    ['[a\\]b]', [']'], ['\\']],
    ['[\\d\\s]x', ['1x', ' x'], ['ax']],
    ['^[\\s\\S]*$', ['a\nb 1', ''], []],
    ['[[:alpha:]]', ['É', 'a'], ['1']],
    ['^[[:upper:]]+$', ['Ab'], ['1']],
    ['^[[:alnum:]_-]+$', ['a_1-é'], ['a b']],
    ['[[:space:][:punct:]]', ['a b', 'a!'], ['ab']],
    ['[[.-.][=x=]]', ['-', 'X'], ['a']],
    ['(?i)a', ['A'], ['b']],
    ['(?c)a', ['a'], ['A']],
    ['***:(?c)a', ['a'], ['A']],
    ['***=a.b', ['xA.B'], ['axb']],
    ['(?q)a.b', ['xA.B'], ['axb']],
    ['(?n)a.c', ['axc'], ['a\nc']],
    ['(?n)^b$', ['a\nb\nc'], ['ab']],
    ['(?n)a[^x]c', ['abc'], ['a\nc']],
    ['(?p)^b', ['b'], ['a\nb']],
    ['(?w)^b.c', ['a\nb\nc'], ['ab']],
    ['(?x) a b # comment\n c [ ] \\ ', ['abc  '], ['a b c']],
  ])('%j', (pattern, matching, others) => {
    for (const text of matching) expect([text, finds(pattern, text)]).toEqual([text, true]);
    for (const text of others) expect([text, finds(pattern, text)]).toEqual([text, false]);
  });

  test.each([
    ['', /not empty/],
    ['a(?=b)', /Look-around/],
    ['a(?!b)', /Look-around/],
    ['(?<=a)b', /Look-around/],
    ['(?<!a)b', /Look-around/],
    ['(?<name>a)', /groups/],
    ['a(?i)b', /groups/],
    ['(a)\\1', /Back-references/],
    ['(?b)a', /option "b"/],
    ['\\q', /no escape "\\q"/],
    ['[\\A]', /no escape "\\A" in/],
    ['a\\', /backslash/],
    ['\\U00110000', /not a character/],
    ['[a', /no "\]"/],
    ['[b-a]', /range/],
    ['[a-[:digit:]]', /range/],
    ['[[:nope:]]', /no character class/],
    ['[[.space.]]', /not supported/],
    ['(a', /^The pattern can't be read\. missing closing \): \(a\.$/],
    ['x(', /missing closing \): x\(\.$/],
    ['a)', /unexpected \)/],
    ['*a', /missing argument/],
    ['a**', /repetition/],
    ['a{1', /repetition/],
    ['a{256}', /255/],
    ['a{2,1}', /255/],
    ['(a{255}){255}', /too big/],
    ['(?#a', /comment/],
    ['\ud800', /well-formed/],
    ['é'.repeat(513), /1024 bytes/],
  ])('%j is refused, and told why', (pattern, sentence) => {
    expect(() => finds(pattern, '')).toThrow(refused(sentence));
  });
});

describe('native: RE2, line by line', () => {
  const grep = (pattern: string, text: string, ignoreCase = false): number[] => {
    const compiled = compileGrep(pattern, { flavour: 'native', ignoreCase });
    const lines = compiled.lines(text, 100, 100).map(({ line }) => line);
    expect(compiled.test(text)).toBe(lines.length > 0);
    return lines;
  };

  test.each<[pattern: string, text: string, lines: number[]]>([
    ['b', 'a\nb\nbb\nc', [2, 3]],
    ['B', 'a\nb', []],
    ['(?i)B', 'a\nb', [2]],
    ['^b$', 'a\nb\nab', [2]],
    ['^b$', 'a\r\nb\r\nab', [2]],
    ['\\Ab\\z', 'a\nb\nab', [2]],
    ['(?-m)^b$', 'a\nb\nab', [2]],
    ['^$', 'a\n\nb\n', [2]],
    ['^$', '', []],
    ['a\\sb', 'a\nb\na b', [3]],
    ['a[^x]b', 'a\nb\na b', [3]],
    ['(?s)a.b', 'a\nb\na.b', [3]],
    ['[^\\n]b', 'b\nab', [2]],
    ['\\bcat\\b', 'concat\na cat', [2]],
    ['\\pL+é', 'x\nabé', [2]],
    ['a.b', 'a😀b', [1]],
    ['1+1', '1+1\n11', [2]],
    ['\\Q1+1\\E', '1+1\n11', [1]],
  ])('%j in %j', (pattern, text, lines) => {
    expect(grep(pattern, text)).toEqual(lines);
  });

  test('case is minded unless asked not to', () => {
    expect(grep('todo', 'TODO\ntodo')).toEqual([2]);
    expect(grep('todo', 'TODO\ntodo', true)).toEqual([1, 2]);
    expect(grep('tod[o]', 'TODO\ntodo', true)).toEqual([1, 2]);
    expect(grep('a|b', 'A\nB', true)).toEqual([1, 2]);
  });

  test('lines are counted from 1, at most so many, cut at so many characters and never within one', () => {
    const grepForA = compileGrep('a', { flavour: 'native' });
    expect(grepForA.lines('a1\nb\r\na234567\r\na', 2, 4)).toEqual([
      { line: 1, text: 'a1' },
      { line: 3, text: 'a234' },
    ]);
    expect(grepForA.lines('12😀a', 1, 3)).toEqual([{ line: 1, text: '12' }]);
    expect(grepForA.lines('12😀a', 1, 4)).toEqual([{ line: 1, text: '12😀' }]);
    expect(grepForA.lines('a', 0, 4)).toEqual([]);
  });

  test.each([
    ['a\nb', /line break/],
    ['a\\nb', /line break/],
    ['a(?=b)', /Look-around/],
    ['(a)\\1', /Back-references/],
    ['(', /missing closing \)/],
    ['a{1001}', /repeat/],
    ['(a{1000}){1000}', /too big/],
    ['a{1000}'.repeat(100), /too big/],
    ['\\pL{900}'.repeat(9), /too big/],
    ['(?:a{10}){99}(?:(?:b?){30}){30}', /too big/],
    ['é'.repeat(513), /1024 bytes/],
  ])('%j is refused, and told why', (pattern, sentence) => {
    expect(() => grep(pattern, '')).toThrow(refused(sentence));
  });

  test('it finds the lines that RE2 finds one by one', () => {
    const pattern = fc.constantFrom(
      'a',
      'A',
      'ab',
      '^a',
      'b$',
      '^$',
      'a\\s*b',
      '[^a]',
      '\\bab\\b',
      '(?s)a.b',
      '\\Ab',
      'a|^b\\z',
      '.*',
      'é',
    );
    const text = fc.string({ unit: fc.constantFrom('a', 'b', 'A', 'É', ' ', '\n', '\r\n'), maxLength: 12 });
    fc.assert(
      fc.property(pattern, text, fc.boolean(), (expression, content, ignoreCase) => {
        const re2 = RE2JS.compile(expression, ignoreCase ? RE2JS.CASE_INSENSITIVE : 0);
        const naive = content.split(/\r?\n/);
        if (naive.at(-1) === '') naive.pop();
        const expected = naive.flatMap((line, index) => (re2.test(line) ? [index + 1] : []));
        expect(grep(expression, content, ignoreCase)).toEqual(expected);
      }),
      { numRuns: 3000 },
    );
  });
});

test('plain text, which RE2 is not asked for, is found as RE2 would find it', () => {
  const character = fc.oneof(
    fc.constantFrom('k', 's', 'K', 'S', 'ſ', 'K', 'ß', 'ẞ', 'Σ', 'ς', 'İ', 'ı', '-', '/'),
    fc.string({ minLength: 1, maxLength: 1 }),
  );
  const plain = fc
    .string({ unit: character, minLength: 1, maxLength: 3 })
    .filter((text) => !/[\\^$.|?*+()[\]{}]/.test(text));
  fc.assert(
    fc.property(plain, fc.string({ unit: character, maxLength: 6 }), (pattern, text) => {
      const ignoring = RE2JS.compile(RE2JS.quote(pattern), RE2JS.CASE_INSENSITIVE).test(text);
      expect(compileGrep(pattern, { flavour: 'acontext' }).test(text)).toBe(ignoring);
      expect(compileGrep(pattern, { flavour: 'native', ignoreCase: true }).test(text)).toBe(ignoring);
      expect(compileGrep(pattern, { flavour: 'native' }).test(text)).toBe(text.includes(pattern));
    }),
    { numRuns: 2000 },
  );
});

test('no pattern is anything but an answer or a refusal', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      '(',
      ')',
      '[',
      ']',
      '[^',
      '[[:alpha:]]',
      '[:',
      '{',
      '}',
      '{2,3}',
      '*',
      '+?',
      '|',
      '^',
      '$',
      '\\',
      '-',
      '(?:',
      '(?',
      '\\x',
      '\\u00',
      '#',
      ' ',
    ),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 2 }),
  );
  fc.assert(
    fc.property(fc.string({ unit: piece, maxLength: 8 }), fc.constantFrom('native', 'acontext'), (pattern, flavour) => {
      let answer: unknown;
      try {
        answer = compileGrep(pattern, { flavour }).test('a-b (c)\n[d] {2}');
      } catch (error) {
        answer = error;
      }
      expect([true, false, refused(/./)]).toContainEqual(answer);
    }),
    { numRuns: 5000 },
  );
});

test('a text within maxTextChars never takes long, whatever the pattern', () => {
  const letters = Array.from({ length: 400_000 }, (_, index) =>
    (index * 7919 + index * index) % 97 < 48 ? 'a' : 'b',
  ).join('');
  for (const pattern of [
    'a[ab]{14}x',
    'a[ab]{100}x',
    'a[ab]{250}[ab]{250}x',
    '(?:a?){100}(?:b?){100}x',
    '(a|ab|ba|aab){1,100}x',
    '(x+x+)+y',
  ]) {
    for (const flavour of ['native', 'acontext'] as const) {
      const grep = compileGrep(pattern, { flavour });
      const text = `${letters.slice(0, grep.maxTextChars - 2)}cx`;
      const started = performance.now();
      grep.test(text);
      expect(performance.now() - started).toBeLessThan(5000);
    }
  }
});
