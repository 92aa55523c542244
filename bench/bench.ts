import type Docker from 'dockerode';
import type { Client } from './client.ts';
import type { Components } from './components.ts';
import type { DockerCli } from './docker-cli.ts';
import type { Report } from './results.ts';
import type { Service } from './service.ts';
import type { WarmPool } from './warm-pool.ts';

/** What each measurement gets. */
export interface Bench {
  service: Service;
  /** One connection: a client that does one thing after the other. */
  client: Client;
  report: Report;
  components: Components;
  /** undefined where the service's engine is not this machine's: then what needs the host's side is left out. */
  host: Host | undefined;
  progress: (line: string) => void;
}

export interface Host {
  docker: Docker;
  cli: DockerCli;
  pool: WarmPool;
  installationId: string;
}

/** Runs `work` with a sandbox, which is killed whatever happens. */
export const withSandbox = <T>(bench: Bench, work: (id: string) => Promise<T>): Promise<T> =>
  withSandboxes(bench, 1, async ([id]) => {
    if (id === undefined) throw new Error('withSandboxes gave none');
    return work(id);
  });

/** Sandboxes, made one after the other, and killed whatever `work` does; the pool's count is kept right. */
export async function withSandboxes<T>(bench: Bench, count: number, work: (ids: string[]) => Promise<T>): Promise<T> {
  const ids: string[] = [];
  try {
    for (let index = 0; index < count; index++) {
      ids.push((await bench.client.createSandbox()).id);
      bench.host?.pool.claimed();
    }
    return await work(ids);
  } finally {
    await killAll(bench, ids);
  }
}

export async function killAll(bench: Bench, ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    await bench.client.killSandbox(id);
    bench.host?.pool.released();
  }
}

export async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}
