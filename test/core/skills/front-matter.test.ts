import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ServiceError } from '../../../worker/core/errors.ts';
import type { FrontMatter } from '../../../worker/core/skills/front-matter.ts';
import { readFrontMatter, sanitizeSkillName } from '../../../worker/core/skills/front-matter.ts';

const read = (text: string): FrontMatter => readFrontMatter(Buffer.from(text));
const readFields = (yaml: string): FrontMatter => read(`---\n${yaml}\n---\n# Skill\n`);

describe('the front matter of a skill', () => {
  it.each([
    ['---\nname: pdf\ndescription: Reads PDFs\n---\n', { name: 'pdf', description: 'Reads PDFs' }],
    ['\uFEFF--- \r\nname: pdf\r\ndescription: Reads\r\n---\r\nbody', { name: 'pdf', description: 'Reads' }],
    [
      '---\nname: "a: b/c"\ndescription: >\n  folded\n  text\nlicense: MIT\nmetadata: { x: [1, 2] }\n...\n',
      { name: 'a--b-c', description: 'folded text' },
    ],
    ['---\nname: 1.10\ndescription: 2024-01-02\n---', { name: '1.10', description: '2024-01-02' }],
    ['---\n# why\nname: é漢\ndescription: "--- no end"\n---\n--- no\n', { name: 'é漢', description: '--- no end' }],
  ])('%j is read', (text, expected) => {
    expect(read(text)).toEqual(expected);
  });

  it.each([
    ['', 'no front matter'],
    ['# Title\n---\nname: x\n---\n', 'no front matter'],
    ['---\nname: x\n', 'without an end'],
    [`---\n${'#'.repeat(70_000)}\n---\n`, 'more than 65536 bytes'],
    ['---\n---\n', 'no list of fields'],
    ['---\n- name\n---\n', 'no list of fields'],
    ['---\nname: [x\n---\n', 'no YAML (character'],
    ['---\nname: x\n---\n', 'no description'],
    ['---\nname: ~\ndescription: x\n---\n', 'no name'],
    ['---\nname: [x]\ndescription: x\n---\n', 'no name'],
    ['---\nname: x\ndescription: ""\n---\n', 'empty description'],
    ['---\nname: x\nname: y\ndescription: x\n---\n', 'more than one name'],
    ['---\nname: &a x\ndescription: *a\n---\n', 'not accepted'],
    ['---\nname: "\\ud800"\ndescription: x\n---\n', 'not Unicode'],
    ['---\nname: ..\ndescription: x\n---\n', 'no directory'],
    [`---\nname: x\ndescription: ${'x'.repeat(8193)}\n---\n`, 'more than 8192 characters'],
  ])('%.60j is refused with its reason', (text, reason) => {
    expect(() => read(text)).toThrow(
      expect.objectContaining({ code: 'invalid_argument', message: expect.stringContaining(reason) }),
    );
  });

  it('that is not UTF-8 is refused', () => {
    expect(() => readFrontMatter(Buffer.from('---\nname: \xe9\n---\n', 'latin1'))).toThrow('not UTF-8');
  });

  it('is read from the beginning of a large file, wherever that is cut', () => {
    const start = '---\nname: x\ndescription: y\n---\n';
    for (let shift = 0; shift < 3; shift += 1) {
      expect(read(start + ' '.repeat(shift) + '漢'.repeat(40_000)).name).toBe('x');
    }
  });

  const kib64 = 65_000;
  it.each([
    ['sequences in a line', '- '.repeat(kib64 / 2)],
    ['explicit keys', '? '.repeat(kib64 / 2)],
    ['flow sequences', '['.repeat(kib64)],
    ['flow maps', '{a: '.repeat(kib64 / 4)],
    ['flow maps without keys', '{'.repeat(kib64)],
    ['keys', Array.from({ length: 9000 }, (_, at) => `k${at}: 1`).join('\n')],
    ['anchors', Array.from({ length: 6000 }, (_, at) => `k${at}: &a${at} 1`).join('\n')],
    ['one key', 'k: 1\n'.repeat(12_000)],
    ['errors', 'a: }\n'.repeat(12_000)],
    ['comments', '# \n'.repeat(20_000)],
    ['indentation', Array.from({ length: 350 }, (_, at) => `${' '.repeat(at)}a:`).join('\n')],
    ['tags', 'a: !!x y\n'.repeat(7000)],
    ['tabs', '\t'.repeat(kib64)],
    ['blank lines', '\n'.repeat(kib64)],
    ['an open quotation', `a: "${'x\n '.repeat(20_000)}`],
    ['a block scalar', `a: |\n${' x\n'.repeat(20_000)}`],
    ['commas', `a: [${','.repeat(kib64 - 10)}]`],
    ['colons', ':'.repeat(kib64)],
    ['colons with spaces', ': '.repeat(kib64 / 2)],
    ['documents', '--- x\n'.repeat(10_000)],
    ['directives', '%a b\n'.repeat(12_000)],
  ])('of 64 KiB of %s is answered within a second', (_what, yaml) => {
    const started = performance.now();
    expect(() => readFields(yaml)).toThrow(ServiceError);
    expect(performance.now() - started).toBeLessThan(1000);
  });

  it('whatever it is, is read or refused', () => {
    const word = fc.constantFrom(
      'name: x\n',
      'description: y\n',
      '- ',
      '[',
      ']',
      '{',
      '}',
      ':',
      ' ',
      '\n',
      '"',
      "'",
      '|',
      '>',
      '!',
      '#',
      '%',
      '@',
      'a',
      '\t',
      '---',
      '\r',
      ',',
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 30 }), (words) => {
        try {
          const { name, description } = readFields(words.join(''));
          expect([name, description]).not.toContain('');
        } catch (error) {
          if (!(error instanceof ServiceError)) throw error;
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("a skill's name", () => {
  it('is one directory of its own, or refused', () => {
    fc.assert(
      fc.property(
        fc.string({
          unit: fc.constantFrom(' ', '.', '/', '\\', ':', '|', '\0', '\n', 'a', 'é', '漢', '😀'),
          maxLength: 60,
        }),
        (name) => {
          try {
            expect(sanitizeSkillName(name)).toMatch(/^(?!\.{1,2}$)[^ /\\:*?"<>|\0\n\r]+$/);
            expect(Buffer.byteLength(sanitizeSkillName(name))).toBeLessThanOrEqual(128);
          } catch (error) {
            if (!(error instanceof ServiceError)) throw error;
          }
        },
      ),
    );
    expect(sanitizeSkillName(' a b/c\\d:e*f?g"h<i>j|k ')).toBe('a-b-c-d-e-f-g-h-i-j-k');
    expect(() => sanitizeSkillName('  ')).toThrow('empty name');
    expect(() => sanitizeSkillName('é'.repeat(65))).toThrow('more than 128 bytes');
  });
});
