import { openCell, openDirectory } from '../../../db/client.ts';
import type { Tenant } from '../../../db/directory.ts';
import type { SandboxOutcome } from '../../../runner/protocol/jobs.ts';
import { SandboxAccesses } from '../../../worker/core/access/sandbox-access.ts';
import { MemoryBudget } from '../../../worker/core/artifacts/memory-budget.ts';
import { newOperationId } from '../../../worker/core/ids.ts';
import { Keyring } from '../../../worker/core/keys/keyring.ts';
import { Signer } from '../../../worker/core/keys/signer.ts';
import { plainSandbox } from '../../../worker/core/sandboxes/create-sandbox.ts';
import type { Broker, Context, Fleet } from '../../../worker/core/ports.ts';
import { OwnCredentials } from '../../../worker/core/traffic/credentials.ts';
import { SnapshotKeys } from '../../../worker/core/snapshots/snapshot-keys.ts';
import { TemplateCatalog } from '../../../worker/core/templates/template-catalog.ts';
import { memoryStore } from './memory-store.ts';
import { SqliteD1 } from './sqlite-d1.ts';

export interface Delivery {
  name: string;
  runnerId: string;
  sandboxId: string;
  epoch: number;
  revision: number;
  /** Of a deadline and a resume. */
  ttlMs?: number;
  onlyExtend?: boolean;
}

interface Script {
  /** What the runner does with a job; throws what the Broker would. Absent: what was asked. */
  runner?: (delivery: Delivery) => Promise<void> | void;
  /** Until when it says that a sandbox runs; absent: a minute from now. */
  expiresAtMs?: (delivery: Delivery) => number;
  /** What became of it, where that is not what was asked. */
  outcome?: (delivery: Delivery) => Partial<SandboxOutcome>;
  /** Runners in the order in which Fleet offers them; the refused ones are left out. */
  runners?: readonly string[];
  networks?: ('on' | 'off')[];
}

const done = {
  'sandbox.create': 'running',
  'sandbox.kill': 'ended',
  'sandbox.pause': 'paused',
  'sandbox.resume': 'running',
  'sandbox.deadline': 'running',
  'sandbox.network': 'running',
  'sandbox.snapshot': 'running',
} as const;

/**
 * The verbs' world with a real database and a runner that follows a script: for what a single machine's installation cannot show, a
 * second candidate and failures at a chosen moment.
 */
export const scriptedCell = (script: Script = {}) => {
  const deliveries: Delivery[] = [];
  const released: string[] = [];
  const afterwards: Promise<unknown>[] = [];
  const runners = script.runners ?? ['1111111111111111'];
  const networks = script.networks ?? ['on', 'off'];

  const lifecycle: Broker['lifecycle'] = async (name, runnerId, data) => {
    const { sandboxId, epoch, revision } = data;
    const { ttlMs, onlyExtend } = data as Partial<Delivery>;
    const delivery: Delivery = {
      name,
      runnerId,
      sandboxId,
      epoch,
      revision,
      ...(ttlMs === undefined ? {} : { ttlMs }),
      ...(onlyExtend === undefined ? {} : { onlyExtend }),
    };
    deliveries.push(delivery);
    await script.runner?.(delivery);
    const expiresAtMs = script.expiresAtMs?.(delivery) ?? Date.now() + 60_000;
    return { state: done[name], expiresAtMs, ...script.outcome?.(delivery) };
  };
  const fleet: Fleet = {
    place: async (_sandboxId, { exclude, network }) => {
      const runnerId = runners.find((candidate) => !exclude.includes(candidate));
      return runnerId === undefined || !networks.includes(network) ? null : { runnerId };
    },
    release: async (sandboxId) => void released.push(sandboxId),
    settled: async () => undefined,
    forgetTemplates: async () => undefined,
    summary: async () => ({ online: runners.length, unreachable: 0, networks, warm: 0 }),
    runners: async () => [],
  };
  const tenant: Tenant = {
    id: 'ten_test',
    name: 'test',
    createdAtMs: 0,
    suspendedAtMs: null,
    maxSandboxes: 10,
    maxCpus: 20,
    maxMemoryMiB: 8192,
    maxTtlSeconds: 3600,
    maxStorageBytes: 1024,
    requestsPerSecond: 1000,
  };
  const database = new SqliteD1('cell');
  const context: Context = {
    directory: openDirectory(new SqliteD1('directory') as unknown as Parameters<typeof openDirectory>[0]),
    cell: openCell(database as unknown as Parameters<typeof openCell>[0]),
    broker: {
      lifecycle,
      setRoute: async () => undefined,
      reportHistory: async () => undefined,
    } as Partial<Broker> as Broker,
    fleet,
    keyring: new Keyring('pepper'),
    templates: new TemplateCatalog(),
    accesses: new SandboxAccesses(),
    objects: memoryStore().store,
    snapshotObjects: memoryStore().store,
    snapshotKeys: new SnapshotKeys('pepper'),
    bodyMemory: new MemoryBudget(48 * 1024 * 1024),
    ownCredentials: new OwnCredentials(new Signer('x'.repeat(32)), 'a'.repeat(32)),
    sandboxDomain: undefined,
    signer: new Signer('pepper'),
    publicUrl: 'http://localhost:8029',
    cellId: '00',
    now: () => Date.now(),
    requestId: newOperationId(),
    signal: new AbortController().signal,
    after: (work) => void afterwards.push(work.catch(() => undefined)),
    log: () => undefined,
    actor: { tenant, keyId: 'key_test', scopes: ['read', 'write'], keyExpiresAtMs: null },
  };
  return { context, database, deliveries, released, settled: () => Promise.all(afterwards) };
};

export const createInput = {
  ...plainSandbox,
  template: 'base',
  timeoutSeconds: 60,
  timeoutMode: 'fixed',
  metadata: {},
  env: { SECRET: 'value' },
  cpus: 1,
  memoryMiB: 128,
  network: undefined,
  idempotencyKey: undefined,
} as const;
