import { randomBytes } from 'node:crypto';
import { mkdtemp, open, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { createRunner, type RunnerService } from '../../local/runner.ts';
import type { TestTenant } from '../installation.ts';
import { waitFor } from '../wait-for.ts';
import { post, postExec, readSandbox, run } from './sandbox-commands.ts';
import { useInstallation } from './use-installation.ts';

const own = useInstallation();
const mib = 1024 * 1024;
let second: { runner: RunnerService; folder: string } | undefined;

afterAll(async () => {
  await second?.runner.stop();
  if (second) await rm(second.folder, { recursive: true, force: true });
});

interface Snapshot {
  id: string;
  sizeBytes: number;
  contentBytes: number;
}

const takeSnapshot = (tenant: TestTenant, id: string) =>
  tenant.json<Snapshot>(`/v1/sandboxes/${id}/snapshots`, { method: 'POST', json: {}, status: 201 });
const localCopies = () => join(own.installation.dataDir, 'runner/snapshots');

/** Of what the local R2 keeps, what has exactly that many bytes. */
async function findObject(sizeBytes: number): Promise<string> {
  const state = join(own.installation.dataDir, 'state');
  for (const entry of await readdir(state, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && (await stat(path)).size === sizeBytes) return path;
  }
  throw new Error(`nothing in ${state} has ${sizeBytes} bytes`);
}

async function flipByte(path: string, at: number): Promise<void> {
  const file = await open(path, 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, at);
  byte.writeUInt8(byte.readUInt8() ^ 1);
  await file.write(byte, 0, 1, at);
  await file.close();
}

test('what a node lost of its copies comes from the store; there it is unreadable, and changed bytes are refused', async () => {
  const tenant = await own.tenant();
  const { id } = await tenant.createSandbox();
  await run(
    tenant,
    id,
    'echo a word that would be found > word; head -c 3M /dev/urandom > random; sha256sum random > sum',
  );
  const snapshot = await takeSnapshot(tenant, id);
  const object = await findObject(snapshot.sizeBytes);
  await rm(join(localCopies(), `${snapshot.id}.sealed`));
  const booted = await tenant.createSandbox({ snapshot: snapshot.id });
  expect(booted['snapshot']).toBe(snapshot.id);
  expect(await run(tenant, booted.id, 'sha256sum -c sum && cat word')).toBe('random: OK\na word that would be found\n');

  await rm(join(localCopies(), `${snapshot.id}.sealed`));
  await flipByte(object, snapshot.sizeBytes - 1000);
  const refused = await post(tenant, '/v1/sandboxes', { snapshot: snapshot.id });
  expect(refused).toMatchObject({ status: 500, body: { error: { code: 'snapshot_corrupt' } } });
  await flipByte(object, snapshot.sizeBytes - 1000);
  await tenant.createSandbox({ snapshot: snapshot.id });

  const other = await own.tenant();
  const theirs = await other.api(`/v1/snapshots/${snapshot.id}`);
  const missing = await other.api(`/v1/snapshots/${'0'.repeat(32)}`);
  const plain = async (response: Response) => (await response.text()).replace(/"requestId":"[^"]*"/, '');
  expect([theirs.status, await plain(theirs)]).toEqual([404, await plain(missing)]);
  for (const answer of [
    await post(other, '/v1/sandboxes', { snapshot: snapshot.id }),
    await post(other, `/v1/sandboxes/${id}/snapshots`, {}),
    await post(other, `/v1/sandboxes/${id}/fork`, {}),
  ]) {
    expect(answer.status).toBe(404);
  }
  expect((await other.api(`/v1/snapshots/${snapshot.id}`, { method: 'DELETE' })).status).toBe(404);
  expect((await tenant.api(`/v1/snapshots/${snapshot.id}`, { method: 'DELETE' })).status).toBe(204);
  const deleted = await post(tenant, '/v1/sandboxes', { snapshot: snapshot.id });
  expect(deleted).toMatchObject({ status: 404, body: { error: { message: expect.stringContaining('snapshot') } } });
});

test('a runner that is killed while it takes a snapshot leaves a sandbox that goes on, and none of the snapshot', async () => {
  const tenant = await own.tenant();
  const { id } = await tenant.createSandbox();
  await run(tenant, id, 'head -c 80M /dev/urandom > large');
  const answer = post(tenant, `/v1/sandboxes/${id}/snapshots`, {});
  const begun = async () => (await readdir(localCopies())).some((name) => name.endsWith('.partial'));
  await waitFor('the snapshot to begin', begun, 10_000, 5);
  await own.installation.runner.kill('SIGKILL');
  await own.installation.runner.start();
  await own.installation.waitUntilReady();
  // Delivered again to the runner's next life, it is taken anew, or its caller is told that it was not.
  const { status } = await answer;
  expect(status === 201 || status >= 500).toBe(true);
  await waitFor('the sandbox to answer', async () => (await postExec(tenant, id, 'true')).status === 200, 30_000, 100);
  expect(await readSandbox(tenant, id)).toMatchObject({ state: 'running' });
  const partial = (await readdir(localCopies())).filter((name) => name.endsWith('.partial'));
  expect(partial).toEqual([]);
  await run(tenant, id, 'rm large');
  const later = await takeSnapshot(tenant, id);
  expect(later.contentBytes).toBeLessThan(mib);
}, 120_000);

test('another node boots what was taken on one that has left', async () => {
  const tenant = await own.tenant();
  const { id } = await tenant.createSandbox();
  await run(tenant, id, 'echo moved > file; sudo rm /etc/motd');
  const snapshot = await takeSnapshot(tenant, id);
  const folder = await mkdtemp(join(tmpdir(), 'gbx-second-'));
  const { url, secrets, engine } = own.installation;
  const runner = await createRunner({
    controlPlaneUrl: url,
    joinToken: secrets.runnerJoinToken,
    installationId: randomBytes(6).toString('hex'),
    dataDir: folder,
    socketPath: engine.socketPath,
    progress: () => undefined,
  });
  second = { runner, folder };
  await runner.start();
  await own.installation.runner.stop();
  const create = () => post(tenant, '/v1/sandboxes', { snapshot: snapshot.id });
  let answer = await create();
  await waitFor(
    'the other node',
    async () => answer.status === 201 || (answer = await create()).status === 201,
    30_000,
    500,
  );
  const booted = String(answer.body['id']);
  expect(await run(tenant, booted, 'cat file; ls /etc/motd 2>&1 | grep -c "No such"')).toBe('moved\n1\n');
  // And is forked there, and snapshotted again.
  const again = await takeSnapshot(tenant, booted);
  expect((await post(tenant, `/v1/sandboxes/${booted}/fork`, { count: 2 })).body).toMatchObject({
    results: [{ sandbox: { state: 'running' } }, { sandbox: { state: 'running' } }],
  });
  const third = await tenant.createSandbox({ snapshot: again.id });
  expect(await run(tenant, third.id, 'cat file')).toBe('moved\n');
});
