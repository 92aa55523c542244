import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../wait-for.ts';
import { allEvents, eventsOf, TestSandbox, textOf } from './calls.ts';

let sandbox: TestSandbox;
beforeAll(async () => {
  sandbox = await TestSandbox.create();
});
afterAll(() => sandbox.cleanUp());

test('output past the limit is counted and dropped, each stream for itself', async () => {
  const result = await sandbox.exec('head -c 1000 /dev/zero | tr "\\0" a; echo err >&2', { outputLimitBytes: 100 });
  expect(result).toMatchObject({ truncated: true, droppedStdoutBytes: 900, droppedStderrBytes: 0, stderr: 'err\n' });
  expect(result.stdout).toBe('a'.repeat(100));
});

test('a command that prints 1 GB ends, with the first 1 MiB and the count of the rest', async () => {
  const result = await sandbox.exec('head -c 1000000000 /dev/zero', { encoding: 'base64', timeoutMs: 55_000 });
  expect(result).toMatchObject({ exitCode: 0, truncated: true, droppedStdoutBytes: 1_000_000_000 - 1024 * 1024 });
  expect(Buffer.from(result.stdout, 'base64').length).toBe(1024 * 1024);
});

test('every byte value survives as base64; as utf8 what is not valid is replaced', async () => {
  await sandbox.writeFile(
    '/tmp/all-bytes',
    Uint8Array.from({ length: 256 }, (_, byte) => byte),
  );
  const exact = await sandbox.exec('cat /tmp/all-bytes', { encoding: 'base64' });
  expect([...Buffer.from(exact.stdout, 'base64')]).toEqual(Array.from({ length: 256 }, (_, byte) => byte));
  const text = await sandbox.exec('printf "ok \\377"');
  expect(text.stdout).toBe('ok \ufffd');
});

test('a background child that holds stdout does not hold the answer', async () => {
  const before = performance.now();
  const result = await sandbox.exec('sleep 30 & echo done');
  expect(result).toMatchObject({ exitCode: 0, stdout: 'done\n' });
  expect(performance.now() - before).toBeLessThan(5_000);
});

test('at its deadline the whole process group dies, one that ignores SIGTERM too, and what was printed is answered', async () => {
  const marker = `300${Date.now() % 100_000}`;
  const result = await sandbox.exec(`trap "" TERM; (trap "" TERM; sleep ${marker}) & echo before; sleep ${marker}`, {
    timeoutMs: 2_000,
  });
  expect(result).toMatchObject({ exitCode: 124, reason: 'deadline', timedOut: true, stdout: 'before\n' });
  expect(result.durationMs).toBeLessThan(10_000);
  await waitFor(
    'the group to be gone',
    async () => (await sandbox.exec(`pgrep -f "[s]leep ${marker}"`)).exitCode === 1,
    5_000,
  );
});

test('streamed output comes while the command runs, in order, and ends with the exit event', async () => {
  const response = await sandbox.stream('echo one; read -t 5 < <(sleep 1); echo two >&2; exit 7');
  expect(response.headers.get('content-type')).toContain('text/event-stream');
  const names: string[] = [];
  let firstOutputMs = 0;
  let exit: unknown;
  const before = performance.now();
  for await (const event of eventsOf(response)) {
    if (event.event === 'stdout' && firstOutputMs === 0) firstOutputMs = performance.now() - before;
    if (event.event === 'exit') exit = event.data;
    names.push(event.event);
  }
  expect(names).toEqual(['started', 'stdout', 'stderr', 'exit']);
  expect(exit).toMatchObject({ exitCode: 7, reason: 'exited', timedOut: false });
  expect(performance.now() - before - firstOutputMs).toBeGreaterThan(500);
});

test('an event’s id is the offset after it, and characters that are cut between reads come whole', async () => {
  const events = await allEvents(await sandbox.stream('printf "a\\303"; sleep 1; printf "\\244b"'));
  expect(textOf(events, 'stdout')).toBe('aäb');
  expect(events.filter(({ event }) => event === 'stdout').map(({ id }) => id)).toEqual([1, 4]);
  expect(events.at(-1)).toMatchObject({ event: 'exit', id: 4 });
});

test('20 MB are streamed whole and in order', async () => {
  const events = eventsOf(await sandbox.stream('seq 1 2600000'));
  let expected = 1;
  let rest = '';
  let exit: unknown;
  for await (const { event, data } of events) {
    if (event === 'exit') exit = data;
    if (event !== 'stdout') continue;
    const lines = (rest + String(data.data)).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line !== String(expected)) throw new Error(`line ${expected} is ${line}`);
      expected += 1;
    }
  }
  expect(expected).toBe(2_600_001);
  expect(exit).toMatchObject({ exitCode: 0 });
});

test('a client that goes away does not end its command', async () => {
  const gone = new AbortController();
  const response = await sandbox.stream(
    'echo started; sleep 1.5; echo survived > /tmp/survived',
    {},
    { signal: gone.signal },
  );
  for await (const { event } of eventsOf(response)) if (event === 'stdout') break;
  gone.abort();
  const survived = await waitFor(
    'the command to end by itself',
    async () => (await sandbox.exec('cat /tmp/survived')).stdout || undefined,
    10_000,
    200,
  );
  expect(survived).toBe('survived\n');
});

test('a client that stops reading holds back neither other commands nor, for longer than its credit, its own', async () => {
  const stalled = await sandbox.stream('head -c 50000000 /dev/zero; echo finished > /tmp/finished', {
    timeoutMs: 120_000,
  });
  expect(await sandbox.output('echo others go on')).toBe('others go on\n');
  await waitFor(
    'the stalled command to end',
    async () => (await sandbox.exec('cat /tmp/finished')).stdout === 'finished\n',
    50_000,
    500,
  );
  await stalled.body?.cancel();
});
