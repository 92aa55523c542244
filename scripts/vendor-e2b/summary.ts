/** What a run of the vendor's suite says, judged against the list of exceptions. */
import { relative } from 'node:path';

/** The part of vitest's JSON report that is read here. */
export interface VitestReport {
  testResults: {
    /** Absolute path. */
    name: string;
    status: string;
    message?: string;
    assertionResults: { fullName: string; status: string; failureMessages?: string[] | null }[];
  }[];
}

export interface Exception {
  file: string;
  /** The test's full name, its describe blocks included. */
  test: string;
  reason: string;
}

export interface Failure {
  file: string;
  test: string;
  /** The first line of the error. */
  error: string;
}

export interface Summary {
  passed: number;
  failed: number;
  skipped: number;
  files: { file: string; passed: number; failed: number; skipped: number }[];
  /** Failures that no exception names: what is to be mended. */
  failures: Failure[];
  excepted: (Failure & { reason: string })[];
  /** Exceptions whose test passed: not needed here. */
  needless: Exception[];
  /** Exceptions of files that ran which name no test of theirs. */
  unknown: Exception[];
}

const SKIPPED = new Set(['skipped', 'pending', 'todo', 'disabled']);
const ERROR_LENGTH = 300;

export function summarize(report: VitestReport, packageDir: string, exceptions: readonly Exception[]): Summary {
  const summary: Summary = {
    passed: 0,
    failed: 0,
    skipped: 0,
    files: [],
    failures: [],
    excepted: [],
    needless: [],
    unknown: [],
  };
  const outcomes = new Map<string, string>();
  for (const result of report.testResults) {
    const file = relative(packageDir, result.name);
    const counts = { file, passed: 0, failed: 0, skipped: 0 };
    for (const { fullName: test, status, failureMessages } of result.assertionResults) {
      outcomes.set(keyOf({ file, test }), status);
      if (status === 'passed') counts.passed += 1;
      else if (SKIPPED.has(status)) counts.skipped += 1;
      else {
        counts.failed += 1;
        addFailure(summary, { file, test, error: firstLine(failureMessages?.[0]) }, exceptions);
      }
    }
    if (result.status === 'failed' && result.assertionResults.length === 0) {
      counts.failed += 1;
      addFailure(
        summary,
        { file, test: '(the file could not be loaded)', error: firstLine(result.message) },
        exceptions,
      );
    }
    summary.files.push(counts);
    summary.passed += counts.passed;
    summary.failed += counts.failed;
    summary.skipped += counts.skipped;
  }
  summary.files.sort((a, b) => a.file.localeCompare(b.file));
  const ran = new Set(summary.files.map(({ file }) => file));
  summary.needless = exceptions.filter((exception) => outcomes.get(keyOf(exception)) === 'passed');
  summary.unknown = exceptions.filter((exception) => ran.has(exception.file) && !outcomes.has(keyOf(exception)));
  return summary;
}

const keyOf = ({ file, test }: { file: string; test: string }): string => JSON.stringify([file, test]);

function addFailure(summary: Summary, failure: Failure, exceptions: readonly Exception[]): void {
  const exception = exceptions.find((each) => keyOf(each) === keyOf(failure));
  if (exception) summary.excepted.push({ ...failure, reason: exception.reason });
  else summary.failures.push(failure);
}

const firstLine = (text: string | undefined): string =>
  (text ?? 'no message').split('\n', 1)[0]?.slice(0, ERROR_LENGTH) ?? '';

export function renderSummary(summary: Summary): string {
  const row = (file: string, counts: (string | number)[]) =>
    file.padEnd(56) + counts.map((each) => String(each).padStart(8)).join('');
  const lines = [row('file', ['passed', 'failed', 'skipped'])];
  for (const { file, passed, failed, skipped } of summary.files) lines.push(row(file, [passed, failed, skipped]));
  lines.push(row('', [summary.passed, summary.failed, summary.skipped]));
  const list = (title: string, items: string[]) => {
    if (items.length > 0) lines.push('', `${title} (${items.length})`, ...items.map((item) => `  ${item}`));
  };
  const name = ({ file, test }: { file: string; test: string }) => `${file} > ${test}`;
  list(
    'Failed',
    summary.failures.map((each) => `${name(each)}\n    ${each.error}`),
  );
  list(
    'Failed as excepted',
    summary.excepted.map((each) => `${name(each)}\n    ${each.reason}`),
  );
  list('Excepted, but passed', summary.needless.map(name));
  list('Excepted, but no such test', summary.unknown.map(name));
  return lines.join('\n');
}
