import { Sandbox, SandboxNotFoundError } from 'e2b';
import { expect } from 'vitest';
import { waitFor } from '../../../wait-for.ts';
import type { Ground, Guarantees } from './methods.ts';

const DEADLINE_MS = 20_000;
const HOUR_MS = 3_600_000;

const sleepsUntilConnected = async ({ sandbox, e2b }: Ground): Promise<void> => {
  expect(await sandbox.isRunning()).toBe(false);
  expect(await sandbox.getInfo()).toMatchObject({ state: 'paused' });
  const again = await Sandbox.connect(sandbox.sandboxId, e2b.options);
  await expect(again.commands.run('cat kept')).resolves.toMatchObject({ stdout: 'as it was' });
};

const hasMetrics = async (read: () => ReturnType<Sandbox['getMetrics']>): Promise<void> => {
  const found = await waitFor(
    'a first measurement',
    async () => {
      const metrics = await read();
      return metrics.length > 0 && metrics;
    },
    DEADLINE_MS,
    500,
  );
  const [first] = found;
  expect(first?.timestamp).toBeInstanceOf(Date);
  expect(first?.memTotal).toBe(512 * 2 ** 20);
  expect(first?.memUsed).toBeGreaterThan(0);
  expect(first?.diskTotal).toBeGreaterThan(0);
  expect(first?.cpuCount).toBe(2);
};

const endsWithin = async ({ e2b, sandbox }: Ground, timeoutMs: number): Promise<void> => {
  const { endAt } = await Sandbox.getInfo(sandbox.sandboxId, e2b.options);
  const leftMs = endAt.getTime() - Date.now();
  expect(leftMs).toBeLessThanOrEqual(timeoutMs + 1_000);
  expect(leftMs).toBeGreaterThan(timeoutMs - DEADLINE_MS);
};

export const lists: Guarantees<'SandboxApi' | 'SandboxPaginator'> = {
  'SandboxApi.list': async ({ e2b, sandbox }) => {
    const tagged = await e2b.create({ metadata: { of: sandbox.sandboxId } });
    const query = { metadata: { of: sandbox.sandboxId }, state: ['running' as const] };
    const found = await Sandbox.list({ ...e2b.options, query }).nextItems();
    expect(found).toMatchObject([{ sandboxId: tagged.sandboxId, metadata: query.metadata, state: 'running' }]);
    await tagged.kill();
  },
  'SandboxPaginator.next_items': async ({ e2b }) => {
    const paginator = Sandbox.list({ ...e2b.options, limit: 1 });
    const seen: string[] = [];
    while (paginator.hasNext) {
      const page = await paginator.nextItems();
      expect(page.length).toBeLessThanOrEqual(1);
      seen.push(...page.map(({ sandboxId }) => sandboxId));
    }
    expect(seen.length).toBeGreaterThanOrEqual(2);
    expect(new Set(seen).size).toBe(seen.length);
    await expect(paginator.nextItems()).rejects.toThrow('No more items');
  },
};

export const sandboxes: Guarantees<'Sandbox'> = {
  'Sandbox.create': async ({ e2b, secure }) => {
    const sandbox = await Sandbox.create('base', {
      ...e2b.options,
      secure,
      timeoutMs: HOUR_MS,
      metadata: { purpose: 'reference' },
      envs: { WORD: 'this' },
      allowInternetAccess: false,
    });
    await expect(sandbox.commands.run('echo $WORD')).resolves.toMatchObject({ stdout: 'this\n' });
    const outside = sandbox.commands.run('timeout 10 bash -c "< /dev/tcp/192.0.2.1/443"');
    await expect(outside).rejects.toMatchObject({ stderr: expect.stringMatching(/refused|unreachable/) as string });
    expect(await sandbox.getInfo()).toMatchObject({ metadata: { purpose: 'reference' }, allowInternetAccess: false });
    await endsWithin({ e2b, secure, sandbox, directory: '' }, HOUR_MS);
    await sandbox.kill();
  },
  'Sandbox.__init__': async ({ sandbox }) => {
    expect(sandbox).toBeInstanceOf(Sandbox);
    expect(sandbox.files).toBeDefined();
    expect(sandbox.commands).toBeDefined();
    expect(sandbox.pty).toBeDefined();
  },
  'Sandbox.beta_create': async (ground) => {
    const lifecycle = { onTimeout: 'pause' as const };
    const sandbox = await ground.e2b.create({ secure: ground.secure, lifecycle });
    await sandbox.files.write('kept', 'as it was');
    await sandbox.setTimeout(1_000);
    await waitFor('the sandbox to pause', async () => (await sandbox.getInfo()).state === 'paused', DEADLINE_MS, 200);
    await sleepsUntilConnected({ ...ground, sandbox });
    await sandbox.kill();
  },
  'Sandbox.connect': async (ground) => {
    await ground.sandbox.connect({ timeoutMs: HOUR_MS });
    await endsWithin(ground, HOUR_MS);
  },
  'Sandbox.connect (static)': async ({ e2b, sandbox }) => {
    await sandbox.files.write('kept', 'as it was');
    const other = await Sandbox.connect(sandbox.sandboxId, { ...e2b.options, timeoutMs: HOUR_MS });
    expect(await other.files.read('kept')).toBe('as it was');
    const missing = Sandbox.connect('0'.repeat(32), e2b.options);
    await expect(missing).rejects.toBeInstanceOf(SandboxNotFoundError);
  },
  'Sandbox.is_running': async ({ sandbox }) => {
    expect(await sandbox.isRunning()).toBe(true);
    await sandbox.kill();
    expect(await sandbox.isRunning()).toBe(false);
  },
  'Sandbox.get_info': async ({ sandbox }) => {
    const info = await sandbox.getInfo();
    expect(info).toMatchObject({
      sandboxId: sandbox.sandboxId,
      name: 'base',
      state: 'running',
      cpuCount: 2,
      memoryMB: 512,
    });
    expect(info.endAt.getTime()).toBeGreaterThan(info.startedAt.getTime());
  },
  'Sandbox.get_info (static)': async ({ e2b, sandbox }) => {
    const info = await Sandbox.getInfo(sandbox.sandboxId, e2b.options);
    expect(info).toEqual(await sandbox.getInfo());
    const missing = Sandbox.getInfo('0'.repeat(32), e2b.options);
    await expect(missing).rejects.toBeInstanceOf(SandboxNotFoundError);
  },
  'Sandbox.get_metrics': async ({ sandbox }) => {
    await hasMetrics(() => sandbox.getMetrics());
    const before = { start: new Date(Date.now() - 2 * HOUR_MS), end: new Date(Date.now() - HOUR_MS) };
    expect(await sandbox.getMetrics(before)).toEqual([]);
  },
  'Sandbox.get_metrics (static)': async ({ e2b, sandbox }) =>
    hasMetrics(() => Sandbox.getMetrics(sandbox.sandboxId, e2b.options)),
  'Sandbox.set_timeout': async (ground) => {
    await ground.sandbox.setTimeout(HOUR_MS);
    await endsWithin(ground, HOUR_MS);
    await ground.sandbox.setTimeout(60_000);
    await endsWithin(ground, 60_000);
  },
  'Sandbox.set_timeout (static)': async (ground) => {
    await Sandbox.setTimeout(ground.sandbox.sandboxId, HOUR_MS, ground.e2b.options);
    await endsWithin(ground, HOUR_MS);
    await Sandbox.setTimeout(ground.sandbox.sandboxId, 1_000, ground.e2b.options);
    await waitFor('the sandbox to end', async () => !(await ground.sandbox.isRunning()), DEADLINE_MS, 100);
  },
  'Sandbox.beta_pause': async (ground) => {
    await ground.sandbox.files.write('kept', 'as it was');
    expect(await ground.sandbox.betaPause()).toBe(true);
    expect(await ground.sandbox.betaPause()).toBe(false);
    await sleepsUntilConnected(ground);
  },
  'Sandbox.beta_pause (static)': async (ground) => {
    await ground.sandbox.files.write('kept', 'as it was');
    expect(await Sandbox.betaPause(ground.sandbox.sandboxId, ground.e2b.options)).toBe(true);
    await sleepsUntilConnected(ground);
  },
  'Sandbox.kill': async ({ e2b, sandbox }) => {
    expect(await sandbox.kill()).toBe(true);
    expect(await sandbox.kill()).toBe(false);
    await expect(Sandbox.getInfo(sandbox.sandboxId, e2b.options)).rejects.toBeInstanceOf(SandboxNotFoundError);
  },
  'Sandbox.kill (static)': async ({ e2b, sandbox }) => {
    expect(await Sandbox.kill(sandbox.sandboxId, e2b.options)).toBe(true);
    expect(await Sandbox.kill(sandbox.sandboxId, e2b.options)).toBe(false);
  },
};
