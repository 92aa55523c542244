import { withSandbox, withSandboxes, timed, type Bench } from './bench.ts';
import { Client } from './client.ts';
import { median, round, summarize } from './statistics.ts';

/** An argv, as `docker exec` takes one: no shell is started. */
const TRUE = ['true'];
const EXECS = 1000;
const SHELL_EXECS = 300;
const WARM_UP_EXECS = 100;
/** `docker exec` is measured between blocks of ours, so that both see the same machine. */
const BLOCK = 50;
const DOCKER_EXECS_PER_BLOCK = 3;
const HEALTH_REQUESTS = 500;
const CLIENTS = 32;
const SANDBOXES = 8;
const THROUGHPUT_MS = 10_000;

/** `true` over HTTP at one client, the client's own share of it, and `docker exec` beside it. */
export async function measureExec(bench: Bench): Promise<void> {
  const { client, host, report } = bench;
  bench.progress(`exec: ${EXECS} × \`true\` at one client`);
  const ours: number[] = [];
  const dockers: number[] = [];
  const health: number[] = [];
  const shell: number[] = [];
  await withSandbox(bench, async (id) => {
    for (let index = 0; index < WARM_UP_EXECS; index++) await client.expectOutput(id, TRUE, '');
    for (let index = 0; index < HEALTH_REQUESTS; index++) health.push(await timed(() => client.health()));
    for (let index = 0; index < SHELL_EXECS; index++)
      shell.push(await timed(() => client.expectOutput(id, 'true', '')));
    for (let index = 0; index < EXECS; index++) {
      ours.push(await timed(() => client.expectOutput(id, TRUE, '')));
      if (index % BLOCK !== 0 || !host) continue;
      for (let count = 0; count < DOCKER_EXECS_PER_BLOCK; count++) dockers.push(await host.cli.timeExec());
    }
  });
  report.results.execMs = summarize(ours);
  if (dockers.length > 0) report.results.dockerExecMs = { p50: round(median(dockers)) };
  report.asides.healthzMs = summarize(health);
  report.asides.shellMs = summarize(shell);
}

/** As many clients as a busy service has, for some seconds. Each one's every answer is checked. */
export async function measureThroughput(bench: Bench): Promise<void> {
  bench.progress(`throughput: ${CLIENTS} clients over ${SANDBOXES} sandboxes, ${THROUGHPUT_MS / 1000} s`);
  const crowd = new Client(bench.service.url, bench.service.apiKey, CLIENTS);
  try {
    await withSandboxes(bench, SANDBOXES, async (ids) => {
      const latencies: number[] = [];
      const startedAt = performance.now();
      const loop = async (id: string) => {
        while (performance.now() - startedAt < THROUGHPUT_MS) {
          latencies.push(await timed(() => crowd.expectOutput(id, TRUE, '')));
        }
      };
      await Promise.all(Array.from({ length: CLIENTS }, (_, index) => loop(ids[index % ids.length] ?? '')));
      const elapsedMs = performance.now() - startedAt;
      bench.report.results.execPerSecond = round(latencies.length / (elapsedMs / 1000));
      bench.report.asides.throughputMs = summarize(latencies);
    });
  } finally {
    await crowd.close();
  }
}
