/** Sandboxes as a program has them that was written for E2B: through the unmodified SDK. */
import { Sandbox } from 'e2b';
import { spellKey } from '../local/local-env.ts';
import type { Bench } from './bench.ts';

const TIMEOUT_MS = 900_000;

export async function createE2bSandbox({ service, host }: Bench): Promise<Sandbox> {
  const { url } = service;
  const options = { apiUrl: url, sandboxUrl: url, apiKey: spellKey(service.apiKey).e2b };
  const sandbox = await Sandbox.create({ ...options, timeoutMs: TIMEOUT_MS });
  host?.pool.claimed();
  return sandbox;
}

export async function killE2bSandbox({ host }: Bench, sandbox: Sandbox): Promise<void> {
  await sandbox.kill();
  host?.pool.released();
}

/** Made one after the other, and killed whatever `work` does. */
export async function withE2bSandboxes<T>(
  bench: Bench,
  count: number,
  work: (sandboxes: Sandbox[]) => Promise<T>,
): Promise<T> {
  const sandboxes: Sandbox[] = [];
  try {
    for (let index = 0; index < count; index++) sandboxes.push(await createE2bSandbox(bench));
    return await work(sandboxes);
  } finally {
    for (const sandbox of sandboxes) await killE2bSandbox(bench, sandbox);
  }
}
