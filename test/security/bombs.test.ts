import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RunnerError } from '../../runner/protocol/errors.ts';
import { waitFor } from '../wait-for.ts';
import { startTestEngine, type TestEngine, type TestSandbox } from './sandbox.ts';

/**
 * The neighbour of a sandbox that does its worst is asked for `true` again and again, in turns: while the bomb goes off, and
 * while its sandbox is held (it gets a hundredth of a CPU: a fork bomb can't be frozen). So whatever else happens on the machine happens to both, and the medians tell what the bomb does.
 * Alone on the machine for the same reason: vitest.config.ts runs it after the tests that run side by side.
 */
const rounds = 5;
/**
 * One that others on the machine spoiled, or whose bomb ended its own sandbox before the end, is repeated: what a bomb does to
 * its neighbour shows every time.
 */
const attempts = 3;
const samplesPerTurn = 16;
const pauseMs = 20;
/** Enough memory for 512 forks of Python: a bomb that ended its own sandbox would prove nothing. */
const size = { cpus: 1, memoryMiB: 1024 };
const heldCpus = 0.01;
/** A disk that was written to, and queues that were filled, go on for a moment. */
const settleMs = 100;
const factor = 2;
/**
 * Medians below it pass without a comparison. An exec wakes four processes up one after the other (runner, agent, command, and
 * back); where a bomb has every CPU busy, each waits for the rest of a scheduler slice (3 ms at most), so one doubling of a
 * latency of 2 ms is one wait more: the scheduler's grain and no harm that a limit of ours could prevent.
 */
const grainMs = 6;
const connections = 10_000;

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

async function execLatenciesMs(): Promise<number[]> {
  const taken: number[] = [];
  for (let sample = 0; sample < samplesPerTurn; sample++) {
    const began = performance.now();
    const { exit } = await neighbour.run('true');
    if (exit.exitCode !== 0) throw new Error('the neighbour’s command failed');
    taken.push(performance.now() - began);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  return taken;
}

const median = (values: number[]): number => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

/** Open TCP connections in a sandbox, as its network namespace's own count says; each end counts. */
async function openSockets(hostPid: number): Promise<number> {
  return Number(/^TCP: inuse (\d+)/m.exec(await readFile(`/proc/${hostPid}/net/sockstat`, 'utf8'))?.[1]);
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
  // Ten pairs of processes, since each has its own limit of open files, and dials to nowhere beside them.
  '10,000 open connections': `import os, socket, time
def pair(port):
    server = socket.create_server(('127.0.0.1', port), backlog=1000)
    if os.fork() == 0:
        held = []
        while True: held.append(server.accept()[0])
    if os.fork() == 0:
        held = []
        while len(held) < 1000: held.append(socket.create_connection(('127.0.0.1', port)))
        while True: time.sleep(1)
for number in range(10): pair(9000 + number)
held = []
while True:
    dial = socket.socket(); dial.setblocking(False); dial.connect_ex(('203.0.113.9', 81)); held.append(dial)
    if len(held) > 8000:
        for dial in held: dial.close()
        held = []`,
};

interface Comparison {
  besideMs: number;
  quietMs: number;
}
const isWithin = ({ besideMs, quietMs }: Comparison): boolean => besideMs <= Math.max(grainMs, factor * quietMs);

async function compare(bomber: TestSandbox): Promise<Comparison> {
  const beside: number[] = [];
  const quiet: number[] = [];
  for (let round = 0; round < rounds; round++) {
    beside.push(...(await execLatenciesMs()));
    await its.engine.resize(bomber.containerId, { ...size, cpus: heldCpus });
    await new Promise((resolve) => setTimeout(resolve, settleMs));
    quiet.push(...(await execLatenciesMs()));
    await its.engine.resize(bomber.containerId, size);
  }
  return { besideMs: median(beside), quietMs: median(quiet) };
}

/** What must be seen of a bomb before it counts as gone off; CPU time of its own for those not named. */
const proofs: Record<string, (bomber: TestSandbox) => Promise<boolean>> = {
  '10,000 open connections': async ({ hostPid }) => (await openSockets(hostPid)) >= 2 * connections,
};
async function busy({ containerId }: TestSandbox): Promise<boolean> {
  return (await its.engine.metrics(containerId)).cpuSeconds > 0.5;
}

/** undefined: the bomb ended its own sandbox, so that there was nothing to compare with to the end. */
async function compareBeside(name: string, program: string): Promise<Comparison | undefined> {
  const bomber = await its.start({ network: 'on', diskMiB: 512, ...size });
  const goesOff = proofs[name] ?? busy;
  try {
    // The output goes to a reader that takes all of it, as a client that streams would.
    void bomber.run(`exec python3 - <<'END'\n${program}\nEND`, { timeoutMs: 60_000 }).catch(() => undefined);
    await waitFor('the bomb to go off', () => goesOff(bomber), 20_000, 100);
    const comparison = await compare(bomber);
    expect(await goesOff(bomber)).toBe(true);
    return comparison;
  } catch (error) {
    if (!(error instanceof RunnerError)) throw error;
    // Its files are gone a moment before the engine has noticed.
    const exit = await waitFor('its exit', () => its.engine.findExit(bomber.containerId), 5_000).catch(() => {
      throw error;
    });
    console.log(`${name}: its own sandbox has ended`, exit);
    return undefined;
  } finally {
    await bomber.remove();
  }
}

test.each(Object.entries(bombs))(
  '%s leaves the neighbour’s exec latency within 2× and the runner alive',
  async (name, program) => {
    let comparison: Comparison | undefined;
    for (let attempt = 0; attempt < attempts; attempt++) {
      comparison = await compareBeside(name, program);
      if (comparison !== undefined && isWithin(comparison)) break;
    }
    expect(comparison).toSatisfy((made: Comparison | undefined) => made !== undefined && isWithin(made));
    expect((await its.engine.list()).map(({ id }) => id)).toEqual([neighbour.containerId]);
  },
  120_000,
);
