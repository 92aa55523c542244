import { expect, test } from 'vitest';
import { renderSummary, summarize, type VitestReport } from '../../scripts/vendor-e2b/summary.ts';

const file = (name: string, tests: Record<string, string>): VitestReport['testResults'][number] => ({
  name: `/suite/tests/${name}`,
  status: 'passed',
  assertionResults: Object.entries(tests).map(([fullName, status]) => ({
    fullName,
    status,
    failureMessages: status === 'failed' ? ['Error: expected 1\n    at somewhere'] : null,
  })),
});
const excepted = (name: string, of = 'a.test.ts') => ({ file: `tests/${of}`, test: name, reason: 'no internet' });

test('a failure counts unless an exception of that very file and name is made for it', () => {
  const report = {
    testResults: [file('a.test.ts', { one: 'failed', two: 'failed', three: 'passed', four: 'skipped' })],
  };
  const summary = summarize(report, '/suite', [excepted('one'), excepted('two', 'b.test.ts')]);
  expect(summary).toMatchObject({ passed: 1, failed: 2, skipped: 1 });
  expect(summary.failures).toEqual([{ file: 'tests/a.test.ts', test: 'two', error: 'Error: expected 1' }]);
  expect(summary.excepted).toMatchObject([{ test: 'one', reason: 'no internet' }]);
});

test('an exception that passes, or that names nothing, is told; one of a file that did not run is not', () => {
  const report = { testResults: [file('a.test.ts', { one: 'passed' })] };
  const summary = summarize(report, '/suite', [excepted('one'), excepted('gone'), excepted('one', 'b.test.ts')]);
  expect(summary.needless).toEqual([excepted('one')]);
  expect(summary.unknown).toEqual([excepted('gone')]);
  expect(renderSummary(summary)).toContain('Excepted, but no such test (1)\n  tests/a.test.ts > gone');
});

test('a file that could not be loaded is a failure', () => {
  const broken = { name: '/suite/tests/a.test.ts', status: 'failed', message: 'SyntaxError: x', assertionResults: [] };
  const summary = summarize({ testResults: [broken] }, '/suite', []);
  expect(summary.failed).toBe(1);
  expect(summary.failures).toMatchObject([{ file: 'tests/a.test.ts', error: 'SyntaxError: x' }]);
});
