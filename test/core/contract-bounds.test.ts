import { expect, test } from 'vitest';
import { limits } from '../../runner/protocol/limits.ts';
import { exitReasons as runnerExitReasons, signalNames as runnerSignals } from '../../runner/protocol/process.ts';
import { executionBounds, exitReasons, fitsBytes } from '../../worker/contract/execution.ts';
import { uploadBounds } from '../../worker/contract/file-contents.ts';
import { signalNames } from '../../worker/contract/processes.ts';

/** The contract imports nothing, so that it stands alone; this is what keeps it honest. */
test('what the native API allows is what the protocol carries', () => {
  expect(executionBounds).toMatchObject({
    commandBytes: limits.commandBytes,
    argvCount: limits.argvCount,
    envCount: limits.envCount,
    envBytes: limits.envBytes,
    pathBytes: limits.pathBytes,
    stdinBytes: limits.inlineBytes,
    outputDefaultBytes: limits.execOutputDefaultBytes,
    outputMaxBytes: limits.execOutputMaxBytes,
  });
  expect(uploadBounds).toEqual({ partBytes: limits.uploadPartBytes, parts: limits.uploadParts });
  expect(signalNames).toEqual(runnerSignals);
  expect(exitReasons).toEqual(runnerExitReasons);
});

test('sizes are bytes of UTF-8, not characters', () => {
  expect(fitsBytes('€€', 6)).toBe(true);
  expect(fitsBytes('€€', 5)).toBe(false);
  expect(fitsBytes('x'.repeat(10), 10)).toBe(true);
  expect(fitsBytes('x'.repeat(11), 10)).toBe(false);
});
