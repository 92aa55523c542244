import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseExports, parseShellState, shellStateBytesMax } from '../../runner/agent/inside/shell-state.ts';

const awkward = ["'", '"', '\\', '$', '`', '!', '\n', '\t', ' ', '\x01', '\x7f', 'é', '😀'];
const names = fc.stringMatching(/^[A-Za-z][A-Za-z0-9_]{0,10}$/).map((name) => `T_${name}`);
/** Without halves of surrogate pairs and NUL, which no environment holds. */
const values = fc
  .oneof(fc.string({ unit: 'binary' }), fc.string({ unit: fc.constantFrom(...awkward) }))
  .filter((text) => text.isWellFormed() && !text.includes('\0'));
const environments = fc.dictionary(names, values, { maxKeys: 8 }).map((env) => ({ ...env }));

const saved = (cwd: string, exports: string): Buffer => Buffer.from(`${cwd}\n\0${exports}\0saved\0`);

describe.each(['bash', 'dash'])('what %s exports', (shell) => {
  test.each(['C', 'C.UTF-8'])('is read as it is, in the locale %s', (locale) => {
    fc.assert(
      fc.property(environments, (env) => {
        const told = spawnSync(shell, ['-c', 'export -p'], { env: { ...env, LC_ALL: locale } });
        const read = parseExports(told.stdout.toString('latin1'));
        const own = [...(read ?? [])].filter(([name]) => name.startsWith('T_'));
        const found = Object.fromEntries(own.map(([name, raw]) => [name, Buffer.from(raw, 'latin1').toString()]));
        expect(found).toEqual(env);
      }),
      { numRuns: 100 },
    );
  });
});

test('arrays, and variables without a value, are no environment', () => {
  const text = 'declare -ax A=([0]="a b" [1]="c\nd")\ndeclare -x B\ndeclare -rx C="1"\nexport D=\'2\'\n';
  expect(parseExports(text)).toEqual(
    new Map([
      ['C', '1'],
      ['D', '2'],
    ]),
  );
});

test('whatever a sandbox writes there is a state or none, and takes no time', () => {
  const piece = fc.constantFrom(
    'declare -x A=',
    'export B=',
    '"',
    "'",
    "$'",
    '\\',
    '\n',
    '\0',
    'saved\0',
    '/tmp\n\0',
    'x',
  );
  const texts = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(''));
  fc.assert(
    fc.property(fc.oneof(texts, fc.string({ unit: 'binary' })), (text) => {
      const state = parseShellState(Buffer.from(text), {}, {}, {});
      if (state === undefined) return;
      for (const [name, value] of Object.entries(state.env)) expect(`${name}${value}`).not.toContain('\0');
    }),
  );
  for (const unit of ['\\', '"\\', "$'\\0", "''", '""', 'export A=\n']) {
    const before = performance.now();
    const filled = unit.repeat(Math.floor((shellStateBytesMax - 100) / unit.length));
    parseShellState(saved('/', `export A=${filled}`), {}, {}, {});
    parseShellState(saved('/', `export A="${filled}`), {}, {}, {});
    expect(performance.now() - before).toBeLessThan(1_000);
  }
});

test('half a state is none, and of two the last counts', () => {
  expect(parseShellState(Buffer.from('/tmp\n\0export A=1\n'), {}, {}, {})).toBeUndefined();
  const two = Buffer.concat([saved('/one', 'export A=1\n'), saved('/two\nlines', 'export A=2\n')]);
  expect(parseShellState(two, {}, {}, {})).toEqual({ cwd: '/two\nlines', env: { A: '2' } });
});

test('names that are none to a shell are passed on as they were', () => {
  const launched = { 'a.b': '1', 'BASH_FUNC_f%%': '() { :; }', 'own.x': '2', GONE: '3' };
  const state = parseShellState(saved('/', 'export A=1\nexport SHLVL=4\n'), launched, { 'own.x': '2' }, {});
  expect(state?.env).toEqual({ 'a.b': '1', A: '1' });
});
