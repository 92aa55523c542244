import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AgentSession } from '../../runner/agent/session.ts';
import { limits } from '../../runner/protocol/limits.ts';
import { waitFor } from '../wait-for.ts';
import type { AgentContainer } from './agent-container.ts';
import {
  Collector,
  docker,
  runToEnd,
  specOf,
  startAgentContainer,
  startReader,
  wholeOutput,
} from './agent-container.ts';

let container: AgentContainer;
let session: AgentSession;

beforeAll(async () => {
  container = await startAgentContainer();
  session = container.session;
});
afterAll(() => container.dispose());

const zeros = (bytes: number): string => `head -c ${bytes} /dev/zero`;
const memoryBytes = async (): Promise<number> =>
  Number(
    await docker(
      'exec',
      container.containerId,
      'sh',
      '-c',
      'cat /sys/fs/cgroup/memory/memory.usage_in_bytes /sys/fs/cgroup/memory.current 2>/dev/null || true',
    ),
  );

test('a reader gets no more than it has granted, and all of it in the end', async () => {
  const { sink, reader } = await startReader(
    session,
    specOf(zeros(3_000_000)),
    { ...wholeOutput, creditBytes: 100_000 },
    false,
  );
  await waitFor('the credit to be used', () => sink.receivedBytes === 100_000, 5_000);
  await runToEnd(session, specOf('true'));
  expect(sink.receivedBytes).toBe(100_000);
  while (sink.receivedBytes < 3_000_000) {
    const before = sink.receivedBytes;
    reader.grant(250_000);
    await waitFor('more output', () => sink.receivedBytes > before, 5_000, 1);
  }
  expect(await sink.ended).toMatchObject({ exitCode: 0 });
  expect(sink.droppedBytes).toBe(0);
});

test('a process without a reader is never held back; who comes late gets the last MiB and is told of the rest', async () => {
  const spec = specOf(`${zeros(5_000_000)}; printf end`);
  await session.start(spec, null);
  await waitFor(
    'its end',
    async () => (await session.list()).find((one) => one.processId === spec.processId)?.exit ?? undefined,
    10_000,
  );
  const sink = new Collector();
  await session.attach(spec.processId, wholeOutput, sink);
  await sink.ended;
  expect(sink.stdout.subarray(-3).toString()).toBe('end');
  expect(sink.droppedBytes + sink.receivedBytes).toBe(5_000_003);
  expect(sink.receivedBytes).toBe(limits.ringBytes);
});

test('output past its limit is counted and dropped, and the process runs on', async () => {
  const { exit, stdout } = await runToEnd(
    session,
    specOf(`${zeros(1_000_000)}; echo err >&2; exit 3`, { outputLimitBytes: 1000 }),
  );
  expect(stdout.length).toBe(1000);
  expect(exit).toMatchObject({ exitCode: 3, droppedStdoutBytes: 999_000, droppedStderrBytes: 0 });
});

test('stdout and stderr keep their order and their bytes', async () => {
  const { stdout } = await runToEnd(
    session,
    specOf('for i in {1..2000}; do echo $i; echo e >&2; done; printf "\\xff\\x00\\xfe"'),
  );
  expect(stdout.split('\n').slice(0, 2000)).toEqual(Array.from({ length: 2000 }, (_, at) => String(at + 1)));
});

test('«yes» with and without a terminal leaves memory bounded and other commands quick', async () => {
  const spinning = [specOf('yes'), specOf('yes', { pty: { cols: 80, rows: 24 } })];
  for (const spec of spinning) await session.start(spec, null);
  const times: number[] = [];
  for (let round = 0; round < 50; round += 1) {
    const from = performance.now();
    await runToEnd(session, specOf('true'));
    times.push(performance.now() - from);
  }
  const memory = await memoryBytes();
  for (const { processId } of spinning) await session.signal(processId, 'SIGKILL');
  expect(times.sort((a, b) => a - b)[25]).toBeLessThan(200);
  expect(memory).toBeLessThan(200 * 1024 * 1024);
});
