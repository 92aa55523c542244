import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { waitFor } from '../wait-for.ts';
import { startTestEngine, type TestEngine, type TestSandbox } from './sandbox.ts';

/**
 * The neighbour of a sandbox that does its worst is asked for `true` again and again. Medians are compared, the quiet one
 * measured right before and right after, and a comparison that a busy test machine spoiled is repeated: an effect of the bomb
 * itself shows in all three.
 */
const samples = 100;
/** Spreads the samples over two seconds of the bomb's. */
const pauseMs = 20;
const attempts = 3;
/** Below this a doubling is the scheduler's grain on a machine with two cores, not the neighbour's harm. */
const grainMs = 6;

vi.setConfig({ testTimeout: 180_000 });

let its: TestEngine;
let neighbour: TestSandbox;

beforeAll(async () => {
  its = await startTestEngine();
  neighbour = await its.start({ network: 'on' });
});
afterAll(async () => {
  await neighbour?.session.close();
  await its?.dispose();
});

async function medianExecMs(): Promise<number> {
  const taken: number[] = [];
  for (let sample = 0; sample < samples; sample++) {
    const began = performance.now();
    const { exit } = await neighbour.run('true');
    if (exit.exitCode !== 0) throw new Error('the neighbour’s command failed');
    taken.push(performance.now() - began);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  return taken.sort((a, b) => a - b)[samples / 2] ?? Number.NaN;
}

/** Each goes on until its sandbox is removed. */
const bombs: Record<string, string> = {
  'a fork bomb': `import os, time
while True:
    try: os.fork()
    except OSError: time.sleep(0.001)`,
  'a memory bomb': `import os
while True:
    if os.fork() == 0:
        hoard = []
        while True: hoard.append(bytearray(16 << 20))
    os.wait()`,
  'a disk bomb': `import os
while True:
    with open('/tmp/full', 'wb') as file:
        try:
            for _ in range(100): file.write(bytes(1 << 20))
            os.fsync(file.fileno())
        except OSError: pass`,
  'an inode bomb': `import os
os.mkdir('/tmp/many')
count = 0
while True:
    try:
        open('/tmp/many/%d' % count, 'w').close(); count += 1
    except OSError: pass`,
  'an output bomb': `import os
line = b'y' * 65536
while True: os.write(1, line)`,
  '10,000 connections': `import asyncio, resource
async def main():
    kept = []
    async def hold(reader, writer): await asyncio.sleep(1000)
    server = await asyncio.start_server(hold, '127.0.0.1', 9000, backlog=1000)
    async def dial(host, port):
        try: kept.append(await asyncio.wait_for(asyncio.open_connection(host, port), 5))
        except (OSError, asyncio.TimeoutError): pass
    while True:
        await asyncio.gather(*[dial('127.0.0.1', 9000) for _ in range(100)], *[dial('203.0.113.9', 81) for _ in range(100)])
asyncio.run(main())`,
};

test.each(Object.entries(bombs))(
  '%s leaves the neighbour’s exec latency within 2× and the runner alive',
  async (_, program) => {
    const comparisons: { quietMs: number; besideMs: number }[] = [];
    for (let attempt = 0; attempt < attempts; attempt++) {
      const before = await medianExecMs();
      const bomber = await its.start({ network: 'on', cpus: 1, memoryMiB: 256, diskMiB: 512 });
      // A bomb may end its own sandbox.
      const usedSeconds = (): Promise<number> =>
        its.engine.metrics(bomber.containerId).then(
          ({ cpuSeconds }) => cpuSeconds,
          () => Number.POSITIVE_INFINITY,
        );
      // The output goes to a reader that takes all of it, as a client that streams would.
      void bomber.run(`exec python3 - <<'END'\n${program}\nEND`, { timeoutMs: 30_000 }).catch(() => undefined);
      let besideMs: number;
      try {
        await waitFor('the bomb to go off', async () => (await usedSeconds()) > 0.5, 20_000, 100);
        besideMs = await medianExecMs();
      } finally {
        await bomber.remove();
      }
      const quietMs = Math.max(before, await medianExecMs());
      comparisons.push({ quietMs, besideMs });
      if (besideMs <= Math.max(grainMs, 2 * quietMs)) break;
    }
    const last = comparisons.at(-1);
    expect(last?.besideMs).toBeLessThanOrEqual(Math.max(grainMs, 2 * (last?.quietMs ?? 0)));
    expect((await its.engine.list()).map(({ id }) => id)).toEqual([neighbour.containerId]);
    expect((await its.engine.metrics(neighbour.containerId)).processes).toBeGreaterThan(0);
  },
);
