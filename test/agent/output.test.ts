import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AgentSession, ReaderHandle } from '../../runner/agent/session.ts';
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

/** Grants what it is given. */
class Granting extends Collector {
  reader: ReaderHandle | null = null;

  override data(fd: 0 | 1 | 2, offset: number, bytes: Uint8Array): void {
    super.data(fd, offset, bytes);
    this.reader?.grant(bytes.length);
  }
}

async function startGranting(script: string): Promise<Granting> {
  const sink = new Granting(false);
  const attach = { ...wholeOutput, creditBytes: limits.channelCreditBytes };
  sink.reader = (await session.start(specOf(script), { attach, sink })).reader;
  return sink;
}

const passed = async (ms: number): Promise<unknown> => {
  const from = performance.now();
  return waitFor(`${ms} ms to pass`, () => performance.now() - from >= ms, 2 * ms);
};

test('what a dead process has left in its pipe comes, however long a reader has held it back', async () => {
  const script = `python3 -c '
import fcntl, os
fcntl.fcntl(1, 1031, 1 << 20)
for _ in range(5): os.write(1, b"x" * (1 << 18))'`;
  // Beside much other output, which makes the agent slow.
  const spinning = [specOf('yes'), specOf('yes')];
  for (const spec of spinning) await session.start(spec, null);
  const held = await Promise.all(
    Array.from({ length: 8 }, async () => {
      const sink = new Collector(false);
      const { pid, reader } = await session.start(specOf(script), {
        attach: { ...wholeOutput, creditBytes: 0 },
        sink,
      });
      return { sink, pid, reader };
    }),
  );
  const areDead = held.map(({ pid }) => `! kill -0 ${pid}`).join(' && ');
  await waitFor('them to be dead', async () => (await runToEnd(session, specOf(areDead))).exit.exitCode === 0, 10_000);
  await passed(1_100);
  expect(held.map(({ sink }) => sink.exitEvent)).toEqual(held.map(() => undefined));
  for (const { reader } of held) reader?.grant(wholeOutput.creditBytes);
  for (const { sink } of held) expect(await sink.ended).toMatchObject({ exitCode: 0 });
  for (const { processId } of spinning) await session.signal(processId, 'SIGKILL');
  for (const { sink } of held) expect([sink.receivedBytes, sink.droppedBytes]).toEqual([5 << 18, 0]);
});

test('a descendant that goes on writing to a slow reader does not hold the end', async () => {
  const spec = specOf('yes & echo begun');
  const from = performance.now();
  const { sink, reader } = await startReader(session, spec, { ...wholeOutput, creditBytes: 100_000 }, false);
  await waitFor(
    'the end',
    () => {
      reader.grant(100_000);
      return sink.exitEvent !== undefined;
    },
    10_000,
    5,
  );
  expect(performance.now() - from).toBeLessThan(5_000);
  await runToEnd(session, specOf('pkill yes'));
});

describe('while the connection is cut', () => {
  const total = 64_000_000;
  const isThrough = async (): Promise<boolean> =>
    docker('exec', container.containerId, 'test', '-e', '/tmp/through').then(
      () => true,
      () => false,
    );
  const startMuch = async (): Promise<Granting> => {
    await runToEnd(session, specOf('rm -f /tmp/through'));
    const sink = await startGranting(`${zeros(total)}; touch /tmp/through`);
    await waitFor('some output', () => sink.receivedBytes > 0, 5_000);
    return sink;
  };

  test('a process that is read is held back, also by a sandbox that stands still for long: nothing is lost', async () => {
    const sink = await startMuch();
    await session.hangUp();
    await passed(500);
    expect(await isThrough()).toBe(false);
    await docker('pause', container.containerId);
    await passed(6_000);
    await docker('unpause', container.containerId);
    await session.listen();
    expect(await sink.ended).toMatchObject({ exitCode: 0 });
    expect([sink.receivedBytes, sink.droppedBytes]).toEqual([total, 0]);
  });

  test('… but not for ever: it goes on without its reader, who is told what was lost', async () => {
    const sink = await startMuch();
    await session.hangUp();
    await waitFor('it to go on', isThrough, 15_000, 100);
    await session.listen();
    await sink.ended;
    expect(sink.droppedBytes).toBeGreaterThan(0);
    expect(sink.receivedBytes + sink.droppedBytes).toBe(total);
  });
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
