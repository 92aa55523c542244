import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createAgentSession } from '../../runner/agent/host.ts';
import { WarmPool } from '../../runner/engine/pool.ts';
import { createLogger } from '../../runner/log.ts';
import type { SandboxSpec } from '../../runner/protocol/jobs.ts';
import { Containers, socketDirOf } from '../../runner/sandboxes/containers.ts';
import { baseImage, host, startTestEngine, type TestEngine } from '../security/sandbox.ts';
import { waitFor } from '../wait-for.ts';

/** Far below the 15 s that an agent has to dial in. */
const atOnceMs = 8_000;
const log = createLogger(() => undefined);
const warmSize = { cpus: 1, memoryMiB: 128, diskMiB: 64 };
const openSession = (socketDir: string) => createAgentSession({ socketDir, log: () => undefined });

let its: TestEngine;
let dataDir: string;
let pool: WarmPool;
let containers: Containers;
/** Without a C library, as an image on musl is to a program on glibc; and one of another processor. */
let empty: string;
let foreign: string;

beforeAll(async () => {
  its = await startTestEngine();
  dataDir = await mkdtemp(join(tmpdir(), 'gbx-'));
  pool = new WarmPool({
    engine: its.engine,
    openSession,
    socketDirOf: (slot) => socketDirOf(dataDir, slot),
    size: warmSize,
    limit: 4,
    hasRoom: () => true,
    log,
  });
  containers = new Containers({ engine: its.engine, pool, openSession, dataDir, warmSize, resizes: true, log });
  empty = `gbx-test-${its.installationId}:empty`;
  foreign = `gbx-test-${its.installationId}:foreign`;
  await host('sh', '-c', `cd /tmp && tar -cf - --files-from /dev/null | docker import - ${empty}`);
  await host(
    'sh',
    '-c',
    `cd ${dataDir} && mkdir image && docker save ${empty} | tar -C image -xf - &&
     sed -i 's/"architecture":"[a-z0-9]*"/"architecture":"riscv64"/; s/${its.installationId}:empty/${its.installationId}:foreign/' image/*.json &&
     tar -C image -cf - . | docker load && rm -r image`,
  );
});
afterAll(async () => {
  await pool?.close();
  containers?.stop();
  await host('docker', 'rmi', empty, foreign);
  await its?.dispose();
  await rm(dataDir, { recursive: true, force: true });
});

const specOf = (image: string): SandboxSpec => ({
  template: { name: 'test', image },
  network: 'off',
  cpus: 1,
  memoryMiB: 128,
  egress: { allow: [], deny: [] },
  env: {},
  deadlineMode: 'fixed',
  ttlMs: 60_000,
  pausedTtlMs: 60_000,
  onTimeout: 'kill',
  keepMemory: true,
});

async function refusalOf(image: string): Promise<{ code: unknown; message: unknown; tookMs: number }> {
  const began = performance.now();
  const refusal: unknown = await containers.obtain(specOf(image), AbortSignal.timeout(60_000)).catch((error) => error);
  return { ...(refusal as { code: unknown }), message: String(refusal), tookMs: performance.now() - began };
}

test('a create from an image in which the agent can’t run is refused at once, with the reason, and leaves nothing', async () => {
  const refusal = await refusalOf(empty);
  expect(refusal).toMatchObject({ code: 'image_unsupported', message: expect.stringContaining('glibc') });
  expect(refusal.tookMs).toBeLessThan(atOnceMs);
  expect(await its.engine.list()).toEqual([]);
  expect(await readdir(join(dataDir, 's'))).toEqual([]);
});

test('a create from an image of another processor is refused at once', async () => {
  const refusal = await refusalOf(foreign);
  expect(refusal).toMatchObject({ code: 'image_unsupported', message: expect.stringContaining('not for this node') });
  expect(refusal.tookMs).toBeLessThan(atOnceMs);
});

test('the pool gives such an image up at once, and fills what can be filled', async () => {
  const began = performance.now();
  pool.setTargets([
    { template: 'broken', image: empty, network: 'off', count: 1 },
    { template: 'base', image: baseImage, network: 'off', count: 1 },
  ]);
  const [broken] = await waitFor(
    'the reason',
    () => {
      const stats = pool.stats();
      return stats[0]?.failure !== null && stats[1]?.ready === 1 && stats;
    },
    20_000,
  );
  expect(broken?.failure).toContain('glibc');
  expect(performance.now() - began).toBeLessThan(12_000);
});
