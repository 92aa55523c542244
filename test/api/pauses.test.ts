import { afterEach, beforeEach, expect, test } from 'vitest';
import { createTenant, type TestTenant } from '../installation.ts';
import { waitFor } from '../wait-for.ts';

let tenant: TestTenant;
beforeEach(async () => {
  tenant = await createTenant({ maxMemoryMiB: 1024 });
});
afterEach(() => tenant.cleanUp());

interface Sandbox {
  id: string;
  state: string;
  memoryKept: boolean | null;
  memoryFreed: boolean | null;
  endReason: string | null;
}

const read = (id: string) => tenant.json<Sandbox>(`/v1/sandboxes/${id}`);
const post = <T = Sandbox>(id: string, verb: string, json: unknown = {}) =>
  tenant.json<T>(`/v1/sandboxes/${id}/${verb}`, { method: 'POST', json });
const exec = async (id: string, command: string) => (await post<{ stdout: string }>(id, 'exec', { command })).stdout;
const pausedBy = (id: string) =>
  waitFor(
    'its pause on record',
    async () => {
      const sandbox = await read(id);
      return sandbox.state === 'paused' && sandbox;
    },
    15_000,
    50,
  );
/** A process that tells by a file that it runs, and by another that it was asked to end. */
const worker = `trap 'touch /workspace/asked; exit' TERM; while sleep 0.1; do date +%s%N > /workspace/alive; done`;
const background = (id: string) =>
  tenant.json(`/v1/sandboxes/${id}/processes`, { method: 'POST', json: { command: worker }, status: 201 });

test('a pause without memory ends processes, gives their memory back, and keeps files, id and environment', async () => {
  const { id } = await tenant.createSandbox({ env: { GREETING: 'hello' }, timeoutSeconds: 60 });
  await background(id);
  await exec(id, 'until [ -e /workspace/alive ]; do sleep 0.05; done; sudo touch /etc/kept');
  const paused = await post(id, 'pause', { memory: false });
  expect(paused).toMatchObject({ state: 'paused', memoryKept: false, memoryFreed: true });
  expect(await read(id)).toMatchObject({ memoryKept: false, memoryFreed: true });
  expect((await tenant.api(`/v1/sandboxes/${id}/exec`, { method: 'POST', json: { command: 'true' } })).status).toBe(
    409,
  );

  const resumed = await post(id, 'resume', { timeoutSeconds: 120 });
  expect(resumed).toMatchObject({ id, state: 'running', timeoutSeconds: 120, memoryKept: null, memoryFreed: null });
  const command = 'echo $GREETING; id -un; ls /etc/kept /workspace/asked; pgrep -c sleep';
  expect(await exec(id, command)).toBe('hello\nuser\n/etc/kept\n/workspace/asked\n0\n');
});

test('a pause with memory lets processes go on where they were', async () => {
  const { id } = await tenant.createSandbox();
  await background(id);
  await exec(id, 'until [ -e /workspace/alive ]; do sleep 0.05; done');
  expect(await post(id, 'pause', { memory: true })).toMatchObject({ memoryKept: true });
  await post(id, 'resume');
  await exec(id, 'rm /workspace/alive; until [ -e /workspace/alive ]; do sleep 0.05; done');
});

test('at its timeout a sandbox is paused where it was so created, is on record as that, and again after a resume', async () => {
  const { id } = await tenant.createSandbox({ timeoutSeconds: 4, onTimeout: 'pause' });
  await background(id);
  expect(await pausedBy(id)).toMatchObject({ memoryKept: true, endReason: null });
  const refused = await tenant.api(`/v1/sandboxes/${id}/exec`, { method: 'POST', json: { command: 'true' } });
  expect(refused.status).toBe(409);
  expect(await refused.text()).toMatch(/sandbox_not_running.*paused/);
  const { entries } = await tenant.json<{ entries: { type: string; message?: string }[] }>(`/v1/sandboxes/${id}/logs`);
  expect(entries.map(({ message }) => message)).toContain('Paused at its timeout.');
  await post(id, 'resume', { timeoutSeconds: 4 });
  await exec(id, 'rm -f /workspace/alive; until [ -e /workspace/alive ]; do sleep 0.05; done');
  expect(await pausedBy(id)).toMatchObject({ state: 'paused' });
});

test('at its timeout it may be paused with its files only', async () => {
  const { id } = await tenant.createSandbox({ timeoutSeconds: 1, onTimeout: 'pause', keepMemory: false });
  expect(await pausedBy(id)).toMatchObject({ memoryKept: false, memoryFreed: true });
  await post(id, 'resume', { timeoutSeconds: 60 });
  expect(await exec(id, 'echo again')).toBe('again\n');
});

test('memory that a pause gave back is the tenant’s to use; it must fit again for a resume, else it stays paused', async () => {
  const { id } = await tenant.createSandbox({ memoryMiB: 768 });
  const wish = { method: 'POST', json: { memoryMiB: 512 } };
  expect((await tenant.api('/v1/sandboxes', wish)).status).toBe(429);
  await post(id, 'pause', { memory: false });
  const other = await tenant.createSandbox({ memoryMiB: 512 });
  const refused = await tenant.api(`/v1/sandboxes/${id}/resume`, { method: 'POST', json: {} });
  expect(refused.status).toBe(429);
  expect(await refused.text()).toMatch(/quota_exceeded.*1024 MiB/);
  expect(await read(id)).toMatchObject({ state: 'paused', memoryFreed: true });
  await tenant.json(`/v1/sandboxes/${other.id}`, { method: 'DELETE' });
  expect(await post(id, 'resume')).toMatchObject({ state: 'running' });
});

test('a pause takes nothing but a boolean for its memory', async () => {
  const { id } = await tenant.createSandbox();
  for (const json of [{ memory: 'no' }, { memory: null }, { files: true }]) {
    expect((await tenant.api(`/v1/sandboxes/${id}/pause`, { method: 'POST', json })).status).toBe(400);
  }
  expect(await read(id)).toMatchObject({ state: 'running' });
});
