import { expect, test } from 'vitest';
import type { TestTenant } from '../installation.ts';
import { waitFor } from '../wait-for.ts';
import { killSandbox, post, readSandbox, run } from './sandbox-commands.ts';
import { useInstallation } from './use-installation.ts';

/** Not while the runner is frozen: removal of a container, with room for a busy machine. */
const REMOVAL_MS = 20_000;
/** Of 200 ms each. */
const SETTLED_LOOKS = 15;
const own = useInstallation();

const listSandboxes = async (tenant: TestTenant): Promise<{ id: string; state: string }[]> =>
  (await tenant.json<{ sandboxes: { id: string; state: string }[] }>('/v1/sandboxes')).sandboxes;

/** With the runner frozen, what was begun stays begun: `work` sees the state in between. */
async function whileRunnerIsFrozen(work: () => Promise<void>): Promise<void> {
  await own.installation.runner.kill('SIGSTOP');
  try {
    await work();
  } finally {
    await own.installation.runner.kill('SIGCONT');
  }
}

async function countContainers(): Promise<number> {
  const { engine, secrets } = own.installation;
  const filters = { label: [`glovebox.installation=${secrets.installationId}`] };
  return (await engine.docker.listContainers({ all: true, filters })).length;
}

/** How many there are once the pool no longer grows. */
async function countSettled(): Promise<number> {
  const seen: number[] = [];
  return waitFor(
    'the pool to be full',
    async () => {
      seen.push(await countContainers());
      const last = seen.slice(-SETTLED_LOOKS);
      return last.length === SETTLED_LOOKS && last.every((count) => count === last[0]) ? (last[0] ?? 0) : undefined;
    },
    60_000,
    200,
  );
}

async function expectKilled(tenant: TestTenant, id: string): Promise<void> {
  await waitFor('the sandbox to have ended', async () => (await readSandbox(tenant, id)).state === 'ended', REMOVAL_MS);
  expect(await readSandbox(tenant, id)).toMatchObject({ state: 'ended', endReason: 'killed' });
}

test('a kill that overtakes its create ends it: the creator is told, nothing of it is left', async () => {
  const tenant = await own.tenant();
  const before = await countSettled();
  let creating: ReturnType<typeof post> | undefined;
  let killing: Promise<number> | undefined;
  let id = '';
  await whileRunnerIsFrozen(async () => {
    creating = post(tenant, '/v1/sandboxes', {});
    id = await waitFor('the create to be on record', async () => (await listSandboxes(tenant))[0]?.id, 5_000);
    expect(await readSandbox(tenant, id)).toMatchObject({ state: 'creating' });
    killing = killSandbox(tenant, id);
    await waitFor('the kill to be on record', async () => (await readSandbox(tenant, id)).state !== 'creating', 5_000);
  });
  expect(await killing).toBeLessThan(300);
  expect(await creating).toMatchObject({ status: 409 });
  await expectKilled(tenant, id);
  await waitFor('its container to be gone', async () => (await countContainers()) <= before, REMOVAL_MS);
});

test.each(['pause', 'resume'])('a kill in the middle of a %s wins', async (verb) => {
  const tenant = await own.tenant();
  const { id } = await tenant.createSandbox();
  if (verb === 'resume') await tenant.json(`/v1/sandboxes/${id}/pause`, { method: 'POST' });
  let changing: ReturnType<typeof post> | undefined;
  let killing: Promise<number> | undefined;
  await whileRunnerIsFrozen(async () => {
    changing = post(tenant, `/v1/sandboxes/${id}/${verb}`, {});
    const between = verb === 'pause' ? 'pausing' : 'resuming';
    await waitFor(between, async () => (await readSandbox(tenant, id)).state === between, 5_000);
    killing = killSandbox(tenant, id);
    await waitFor('the kill to be on record', async () => (await readSandbox(tenant, id)).state !== between, 5_000);
  });
  expect(await killing).toBeLessThan(300);
  expect((await changing)?.status).toBeGreaterThanOrEqual(400);
  await expectKilled(tenant, id);
});

test('a paused sandbox can be killed, and one that has ended again, with the same answer', async () => {
  const tenant = await own.tenant();
  const { id } = await tenant.createSandbox();
  await tenant.json(`/v1/sandboxes/${id}/pause`, { method: 'POST' });
  expect(await killSandbox(tenant, id)).toBeLessThan(300);
  await expectKilled(tenant, id);
  expect(await killSandbox(tenant, id)).toBeLessThan(300);
  await expectKilled(tenant, id);
});

test('two creates with one Idempotency-Key make one sandbox; another body with it is 422', async () => {
  const tenant = await own.tenant();
  const headers = { 'idempotency-key': crypto.randomUUID() };
  const twins = await Promise.all([1, 2].map(() => post(tenant, '/v1/sandboxes', { timeoutSeconds: 60 }, headers)));
  for (const { status } of twins) expect(status).toBeLessThan(300);
  expect(twins[0]?.body['id']).toBe(twins[1]?.body['id']);
  expect(await listSandboxes(tenant)).toHaveLength(1);
  const other = await post(tenant, '/v1/sandboxes', { timeoutSeconds: 61 }, headers);
  expect(other).toMatchObject({ status: 422, body: { error: { code: 'idempotency_mismatch' } } });
  const unrelated = await own.tenant();
  const foreign = await post(unrelated, '/v1/sandboxes', { timeoutSeconds: 61 }, headers);
  expect(foreign.status).toBeLessThan(300);
});

test('the runner dies while it makes a sandbox: the creator gets one that works or is told to retry, and the service goes on', async () => {
  const tenant = await own.tenant();
  const { installation } = own;
  await installation.runner.kill('SIGSTOP');
  const creating = post(tenant, '/v1/sandboxes', {});
  const id = await waitFor('the create to be on record', async () => (await listSandboxes(tenant))[0]?.id, 5_000);
  await installation.runner.kill('SIGKILL');
  await installation.runner.start();
  const answer = await creating;
  expect([201, 503]).toContain(answer.status);
  expect(answer.status === 201 || answer.retryAfter !== null).toBe(true);
  expect((await readSandbox(tenant, id)).state).toBe(answer.status === 201 ? 'running' : 'ended');
  await installation.waitUntilReady();
  const next = await tenant.createSandbox();
  expect(await run(tenant, next.id, 'echo works')).toBe('works\n');
});
