import { setTimeout as sleep } from 'node:timers/promises';
import { killAll, timed, type Bench } from './bench.ts';
import { median, round, summarize } from './statistics.ts';

const CREATES = 100;
const CREATES_PER_DOCKER_RUN = 5;
const COLD_CREATES = 10;
/** Where the pool can't be seen: long enough for a refill on any machine. */
const BLIND_WAIT_MS = 1_500;

/** A sandbox with its first output, one after the other, each from a pool that is full again; and without any pool. */
export async function measureCreate(bench: Bench): Promise<void> {
  const { host, report } = bench;
  await measureWarm(bench);
  if (!host) return;
  if (host.pool.size === 0)
    return void report.asides.notes.push('The runner keeps no warm containers: every create was cold.');
  await measureCold(bench);
}

async function measureWarm(bench: Bench): Promise<void> {
  const { host, report } = bench;
  bench.progress(`create: ${CREATES} × create → first output, the pool full before each`);
  const times = { first: [] as number[], create: [] as number[], wait: [] as number[], docker: [] as number[] };
  let warm = 0;
  for (let index = 0; index < CREATES; index++) {
    times.wait.push(await waitForWarm(bench));
    if (host && index % CREATES_PER_DOCKER_RUN === 0) times.docker.push(await host.cli.timeRun());
    const startedAt = performance.now();
    const sandbox = await bench.client.createSandbox();
    times.create.push(performance.now() - startedAt);
    host?.pool.claimed();
    await bench.client.expectOutput(sandbox.id, 'echo ready', 'ready\n');
    times.first.push(performance.now() - startedAt);
    // A claimed container leaves a gap in the pool, until its refill has started; a cold one doesn't.
    if (host && (await host.pool.countWarm()) < host.pool.size) warm += 1;
    await killAll(bench, [sandbox.id]);
  }
  report.results.ttiMs = summarize(times.first);
  report.asides.createMs = summarize(times.create);
  report.asides.warmWaitMs = summarize(times.wait);
  if (host) report.asides.warmCreates = { warm, of: CREATES };
  if (times.docker.length > 0) report.results.dockerRunMs = { p50: round(median(times.docker)) };
}

export async function waitForWarm(bench: Bench): Promise<number> {
  return bench.host ? bench.host.pool.waitUntilFull() : timed(() => sleep(BLIND_WAIT_MS));
}

/** Takes all that is warm, then creates: each of these has to start its container. Then the refills are timed, undisturbed. */
async function measureCold(bench: Bench): Promise<void> {
  const { host, client, report } = bench;
  if (!host) return;
  bench.progress(`create: ${COLD_CREATES} × with an empty pool, then the refills`);
  const { pool } = host;
  await pool.waitUntilFull();
  const taken: string[] = [];
  const times: number[] = [];
  const take = async () => {
    const { id } = await client.createSandbox();
    pool.claimed();
    taken.push(id);
  };
  try {
    while (times.length < COLD_CREATES) {
      while ((await pool.countWarm()) > 0) await take();
      times.push(await timed(take));
    }
    while ((await pool.countWarm()) > 0) await take();
    const refillMs = await pool.waitUntilFull();
    report.asides.refillsPerSecond = round(pool.size / (refillMs / 1000));
  } finally {
    await killAll(bench, taken);
  }
  report.asides.coldCreateMs = { p50: round(median(times)), count: times.length };
}
