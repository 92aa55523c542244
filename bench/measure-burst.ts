import { killAll, timed, type Bench } from './bench.ts';
import { Client } from './client.ts';
import { waitForWarm } from './measure-create.ts';
import { median, round } from './statistics.ts';

const BURST = 50;
/** What the sandboxes of the benchmark are made from. */
const TEMPLATE = 'base';
/** Some of them are kept for the other network mode. */
const WARM_COUNT = BURST + 4;
/** Runners hear of a new number within a heartbeat and start containers one by one. */
const FILL_DEADLINE_MS = 120_000;
const DRAIN_DEADLINE_MS = 60_000;

/** As many at once as a team's agents wake up with, from a pool that was told to have them ready. */
export async function measureBurst(bench: Bench): Promise<void> {
  const { host, report, service } = bench;
  if (!host || service.adminKey === undefined) {
    report.asides.notes.push('The pool was left as it is for the burst: its size is the admin key’s to set.');
    await waitForWarm(bench);
    return burst(bench);
  }
  const admin = new Client(service.url, service.adminKey, 1);
  const usualCount = await admin.warmCount(TEMPLATE);
  try {
    bench.progress(`burst: waiting for ${BURST} warm containers`);
    if (usualCount < WARM_COUNT) await admin.setWarmCount(TEMPLATE, WARM_COUNT);
    const warm = await host.pool.waitForCount((count) => count >= BURST, FILL_DEADLINE_MS);
    report.asides.burstWarm = Math.min(warm, BURST);
    await burst(bench);
  } finally {
    await admin.setWarmCount(TEMPLATE, usualCount);
    await admin.close();
  }
  await host.pool.waitForCount((count) => count <= host.pool.size, DRAIN_DEADLINE_MS);
}

/** Each sandbox has to answer a command afterwards. */
async function burst(bench: Bench): Promise<void> {
  const { host, report } = bench;
  bench.progress(`burst: ${BURST} creates at once`);
  const crowd = new Client(bench.service.url, bench.service.apiKey, BURST);
  const ids: string[] = [];
  try {
    await Promise.all(Array.from({ length: BURST }, () => crowd.health()));
    const times: number[] = [];
    const wallMs = await timed(async () => {
      const outcomes = await Promise.allSettled(
        Array.from({ length: BURST }, async () => {
          const startedAt = performance.now();
          const { id } = await crowd.createSandbox();
          times.push(performance.now() - startedAt);
          host?.pool.claimed();
          ids.push(id);
        }),
      );
      const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
      report.asides.failures.push(...refused.map(({ reason }) => `burst: ${String(reason)}`));
    });
    await Promise.all(ids.map((id) => crowd.expectOutput(id, 'echo $((6 * 7))', '42\n')));
    report.results.burst50 = { ok: ids.length, p50Ms: round(median(times)), wallMs: round(wallMs) };
  } finally {
    await killAll(bench, ids);
    await crowd.close();
  }
}
