import {
  AuthenticationError,
  RateLimitError,
  Sandbox,
  SandboxError,
  SandboxNotFoundError,
  type SandboxInfo,
} from 'e2b';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { waitFor } from '../../wait-for.ts';
import { createE2b, type E2b } from './client.ts';

let e2b: E2b;
beforeEach(async () => {
  e2b = await createE2b();
});
afterEach(() => e2b.cleanUp());

const idsOf = (infos: readonly SandboxInfo[]): string[] => infos.map(({ sandboxId }) => sandboxId);
const missingId = '00000000000040008000000000000000';

describe.each([true, false])('by the SDK, secure: %s', (secure) => {
  test('a sandbox is made, described, connected to and killed', async () => {
    const metadata = { 'test key': 'ein Wert & mehr = 100%' };
    const sandbox = await e2b.create({ secure, metadata, envs: { GREETING: 'hello' }, timeoutMs: 60_000 });
    const run = await sandbox.commands.run('echo $GREETING');
    expect(run.stdout).toBe('hello\n');

    const info = await sandbox.getInfo();
    expect(info).toMatchObject({
      sandboxId: sandbox.sandboxId,
      templateId: 'base',
      name: 'base',
      metadata,
      state: 'running',
      cpuCount: 2,
      memoryMB: 512,
      envdVersion: '0.6.13',
      lifecycle: { onTimeout: 'kill', autoResume: false },
      network: { allowPublicTraffic: true },
      volumeMounts: [],
    });
    expect(info.endAt.getTime() - info.startedAt.getTime()).toBeGreaterThan(58_000);
    expect(info.endAt.getTime() - info.startedAt.getTime()).toBeLessThan(62_000);
    expect(await Sandbox.getInfo(sandbox.sandboxId, e2b.options)).toEqual(info);
    expect(await Sandbox.getFullInfo(sandbox.sandboxId, e2b.options)).toEqual(info);

    const connected = await Sandbox.connect(sandbox.sandboxId, e2b.options);
    expect(connected.sandboxId).toBe(sandbox.sandboxId);
    expect((await connected.commands.run('echo again')).stdout).toBe('again\n');

    expect(await sandbox.kill()).toBe(true);
    expect(await sandbox.kill()).toBe(false);
    expect(await Sandbox.kill(sandbox.sandboxId, e2b.options)).toBe(false);
    await expect(sandbox.getInfo()).rejects.toBeInstanceOf(SandboxNotFoundError);
    await expect(Sandbox.connect(sandbox.sandboxId, e2b.options)).rejects.toBeInstanceOf(SandboxNotFoundError);
  });

  test('a paused sandbox is resumed by connecting, by the same tokens', async () => {
    const sandbox = await e2b.create({ secure });
    const { pid } = await sandbox.commands.run('sleep 300', { background: true });
    expect(await sandbox.pause()).toBe(true);
    expect(await sandbox.pause()).toBe(false);
    expect(await Sandbox.betaPause(sandbox.sandboxId, e2b.options)).toBe(false);
    expect((await sandbox.getInfo()).state).toBe('paused');

    const resumed = await Sandbox.connect(sandbox.sandboxId, { ...e2b.options, timeoutMs: 90_000 });
    expect((await sandbox.getInfo()).state).toBe('running');
    for (const handle of [sandbox, resumed]) {
      expect((await handle.commands.list()).map((command) => command.pid)).toContain(pid);
    }
    const endAt = (await sandbox.getInfo()).endAt.getTime();
    expect(Math.abs(endAt - Date.now() - 90_000)).toBeLessThan(5_000);
  });
});

test('connecting extends the time and never shortens it; setTimeout does both', async () => {
  const sandbox = await e2b.create({ timeoutMs: 300_000 });
  const endAt = async () => (await sandbox.getInfo()).endAt.getTime();
  const first = await endAt();
  await Sandbox.connect(sandbox.sandboxId, { ...e2b.options, timeoutMs: 10_000 });
  expect(await endAt()).toBe(first);
  await sandbox.connect({ timeoutMs: 600_000 });
  expect(await endAt()).toBeGreaterThan(first + 290_000);
  await sandbox.setTimeout(30_000);
  expect(await endAt()).toBeLessThan(Date.now() + 31_000);
  await Sandbox.setTimeout(sandbox.sandboxId, 120_000, e2b.options);
  expect(await endAt()).toBeGreaterThan(Date.now() + 110_000);
  await sandbox.setTimeout(0);
  await expect(sandbox.getInfo()).rejects.toBeInstanceOf(SandboxNotFoundError);
});

test('a sandbox is gone when its time is up', async () => {
  const sandbox = await e2b.create({ timeoutMs: 1_000 });
  await waitFor('its end', async () => !(await sandbox.isRunning()), 10_000);
  await waitFor(
    'its end to be on record',
    () =>
      sandbox.getInfo().then(
        () => false,
        (error: unknown) => error instanceof SandboxNotFoundError,
      ),
    10_000,
  );
  expect(await Sandbox.list(e2b.options).nextItems()).toEqual([]);
});

test('what is to happen at the timeout is told as it was asked for', async () => {
  const lifecycle = { onTimeout: 'pause', autoResume: true } as const;
  const sandbox = await e2b.create({ lifecycle });
  expect((await sandbox.getInfo()).lifecycle).toEqual(lifecycle);
  const dropping = await e2b.create({ lifecycle: { onTimeout: { action: 'pause', keepMemory: false } } });
  expect((await dropping.getInfo()).lifecycle).toEqual({ onTimeout: 'pause', autoResume: false });
});

describe('lists by the SDK', () => {
  test('page by start in both orders, with and without the paused ones', async () => {
    const made: string[] = [];
    for (let at = 0; at < 3; at += 1) made.push((await e2b.create({ metadata: { at: String(at) } })).sandboxId);
    const [oldest = '', middle = '', newest = ''] = made;
    await Sandbox.pause(middle, e2b.options);

    const paginator = Sandbox.list({ ...e2b.options, limit: 2 });
    expect(idsOf(await paginator.nextItems())).toEqual([newest, middle]);
    expect(paginator.hasNext).toBe(true);
    expect(idsOf(await paginator.nextItems())).toEqual([oldest]);
    expect(paginator.hasNext).toBe(false);
    expect(paginator.nextToken).toBeUndefined();

    const ascending = await Sandbox.list({ ...e2b.options, order: 'asc' }).nextItems();
    expect(idsOf(ascending)).toEqual(made);
    expect(ascending.map(({ state }) => state)).toEqual(['running', 'paused', 'running']);
    const listed = (state: ('running' | 'paused')[]) => Sandbox.list({ ...e2b.options, query: { state } }).nextItems();
    expect(idsOf(await listed(['running']))).toEqual([newest, oldest]);
    expect(idsOf(await listed(['paused']))).toEqual([middle]);
    expect(idsOf(await listed(['running', 'paused']))).toEqual([newest, middle, oldest]);
  });

  test('are narrowed by metadata, template and start', async () => {
    const odd = { 'a key/with=signs&more': 'ü % + "quoted" 100%25', second: 'x' };
    const wanted = await e2b.create({ metadata: odd });
    await e2b.create({ metadata: { second: 'x' } });
    const listed = async (query: NonNullable<Parameters<typeof Sandbox.list>[0]>['query']) =>
      idsOf(await Sandbox.list({ ...e2b.options, ...(query && { query }) }).nextItems());
    expect(await listed({ metadata: odd })).toEqual([wanted.sandboxId]);
    expect(await listed({ metadata: { second: 'x' } })).toHaveLength(2);
    expect(await listed({ metadata: { second: 'y' } })).toEqual([]);
    expect(await listed({ template: 'base' })).toHaveLength(2);
    expect(await listed({ template: 'no-such-template' })).toEqual([]);
    const { startedAt } = await wanted.getInfo();
    expect(await listed({ startedAfter: startedAt })).toHaveLength(2);
    expect(await listed({ startedAfter: new Date(Date.now() + 60_000) })).toEqual([]);
  });
});

test('the SDK’s errors are the ones that its users catch', async () => {
  const unknown = { ...e2b.options, apiKey: `e2b_${'0'.repeat(40)}` };
  await expect(Sandbox.create(unknown)).rejects.toBeInstanceOf(AuthenticationError);
  await expect(Sandbox.create('no-such-template', e2b.options)).rejects.toThrow("404: template 'no-such-template'");
  await expect(e2b.create({ timeoutMs: 25 * 3_600_000 })).rejects.toThrow('Timeout cannot be greater than 24 hours');
  await expect(Sandbox.getInfo(missingId, e2b.options)).rejects.toBeInstanceOf(SandboxNotFoundError);
  await expect(Sandbox.setTimeout(missingId, 1_000, e2b.options)).rejects.toBeInstanceOf(SandboxNotFoundError);
  await expect(Sandbox.pause(missingId, e2b.options)).rejects.toBeInstanceOf(SandboxNotFoundError);
  await expect(e2b.create({ volumeMounts: { '/mnt': 'volume' } })).rejects.toBeInstanceOf(SandboxError);
});

test('a tenant at its limit is told so as a rate limit', async () => {
  const small = await createE2b({ maxSandboxes: 1 });
  try {
    await small.create();
    const second = small.create({ requestTimeoutMs: 2_000 });
    await expect(second).rejects.toBeInstanceOf(RateLimitError);
  } finally {
    await small.cleanUp();
  }
});

test('a small tenant’s sandbox is as large as it may be', async () => {
  const small = await createE2b({ maxCpus: 1, maxMemoryMiB: 256 });
  try {
    const sandbox = await small.create();
    expect(await sandbox.getInfo()).toMatchObject({ cpuCount: 1, memoryMB: 256 });
  } finally {
    await small.cleanUp();
  }
});
