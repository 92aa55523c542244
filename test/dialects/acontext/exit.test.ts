import { expect, test } from 'vitest';
import { exitCodeOf, viewExec } from '../../../worker/dialects/acontext/exit.ts';

const ended = {
  exitCode: 0,
  signal: null,
  reason: 'exited',
  durationMs: 1,
  droppedStdoutBytes: 0,
  droppedStderrBytes: 0,
} as const;
const bytes = (text: string) => new TextEncoder().encode(text);
const view = (exit: Partial<Parameters<typeof viewExec>[0]['exit']>, stderr = '') =>
  viewExec({ processId: '', stdout: bytes('out'), stderr: bytes(stderr), exit: { ...ended, ...exit } }, 300);

test('a command that ended by itself is shown as it is', () => {
  expect(view({ exitCode: 3 }, 'oh')).toEqual({ stdout: 'out', stderr: 'oh', exit_code: 3 });
});

test('the deadline is exit 124 and a line in stderr, one of its own', () => {
  const deadline = { exitCode: null, signal: 'SIGKILL', reason: 'deadline' } as const;
  const note = '[glovebox] the command was ended after 300 seconds\n';
  expect(view(deadline, 'half')).toEqual({ stdout: 'out', stderr: `half\n${note}`, exit_code: 124 });
  expect(view(deadline, 'whole\n').stderr).toBe(`whole\n${note}`);
  expect(view(deadline).stderr).toBe(note);
});

test('memory and the end of the sandbox are told apart from an ordinary signal', () => {
  expect(view({ exitCode: null, signal: 'SIGKILL', reason: 'signalled' })).toMatchObject({
    exit_code: 137,
    stderr: '',
  });
  expect(view({ exitCode: null, signal: 'SIGKILL', reason: 'oom' }).stderr).toMatch(/out of memory/);
  expect(view({ exitCode: null, signal: 'SIGKILL', reason: 'sandbox_ended' }).stderr).toMatch(/sandbox ended/);
  const evicted = { exitCode: null, signal: 'SIGKILL', reason: 'sandbox_ended', sandboxEndReason: 'evicted' } as const;
  expect(view(evicted).stderr).toMatch(/evicted it, .* outgrow its disk\n$/);
});

test('output that was left out is counted for each stream', () => {
  expect(view({ droppedStdoutBytes: 5, droppedStderrBytes: 7 }, 'x').stderr).toBe(
    'x\n[glovebox] 5 more bytes of stdout are left out\n[glovebox] 7 more bytes of stderr are left out\n',
  );
});

test('a signal without a known number is 255', () => {
  expect(exitCodeOf({ exitCode: null, signal: 'SIGRTMIN+3', reason: 'signalled' })).toBe(255);
  expect(exitCodeOf({ exitCode: null, signal: null, reason: 'killed' })).toBe(255);
});
