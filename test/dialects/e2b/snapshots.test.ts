import { Sandbox } from 'e2b';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createE2b, type E2b } from './client.ts';

let e2b: E2b;
beforeEach(async () => {
  e2b = await createE2b();
});
afterEach(() => e2b.cleanUp());

/** As Python's older clients send it: slashes and colons as they are. */
const remove = (path: string) =>
  fetch(`${e2b.options.apiUrl}/templates/${path}`, {
    method: 'DELETE',
    headers: { 'X-API-KEY': e2b.options.apiKey },
  });

test('a snapshot outlives its sandbox and boots by its id, as often as one likes', async () => {
  const source = await e2b.create();
  await source.commands.run('mkdir app && echo kept > app/file && chmod 600 app/file');
  const { snapshotId, names } = await source.createSnapshot();
  expect(snapshotId).toMatch(/^[0-9a-f]{32}:default$/);
  expect(names).toEqual([]);
  expect(await source.isRunning()).toBe(true);
  await source.kill();
  const booted = await Promise.all([1, 2].map(() => Sandbox.create(snapshotId, e2b.options)));
  await booted[0]?.commands.run('echo changed > app/file');
  const read = await booted[1]?.commands.run('cat app/file; stat -c %a app/file');
  expect(read?.stdout).toBe('kept\n600\n');
});

test('a named snapshot is found, replaced and deleted by its name, with its slash escaped or not', async () => {
  const source = await e2b.create();
  const first = await source.createSnapshot({ name: 'Work' });
  const [name = ''] = first.names;
  expect(name).toMatch(/^test-[0-9-]+\/work$/);
  expect(first.snapshotId).toBe(`${name}:default`);
  await source.commands.run('echo newer > newer');
  expect(await source.createSnapshot({ name: 'work' })).toEqual(first);
  const other = await source.createSnapshot({ name: `${name}:v2` });
  expect(other.snapshotId).toBe(`${name}:v2`);

  const idsOf = async (filter: string) =>
    (await Sandbox.listSnapshots({ ...e2b.options, name: filter }).nextItems()).map((found) => found.snapshotId);
  expect(await idsOf('work')).toEqual([other.snapshotId, first.snapshotId]);
  expect(await idsOf(`${name}:default`)).toEqual([first.snapshotId]);
  expect(await idsOf('work-does-not-exist')).toEqual([]);
  await expect(idsOf('elsewhere/work')).rejects.toThrow('elsewhere');

  const booted = await Sandbox.create('work', e2b.options);
  expect((await booted.commands.run('cat newer')).stdout).toBe('newer\n');
  expect(await Sandbox.deleteSnapshot(first.snapshotId, e2b.options)).toBe(true);
  expect(await Sandbox.deleteSnapshot(first.snapshotId, e2b.options)).toBe(false);
  expect((await remove(other.snapshotId)).status).toBe(204);
  expect((await remove(other.snapshotId)).status).toBe(404);
  await expect(Sandbox.create('work', e2b.options)).rejects.toThrow('not found');
});

test('snapshots and timeouts of one sandbox wait for each other, and nobody is told of a conflict', async () => {
  const source = await e2b.create();
  const timeouts = [250_000, 260_000].map((timeoutMs) => source.setTimeout(timeoutMs));
  await Promise.all([source.createSnapshot(), ...timeouts, source.createSnapshot()]);
  const { endAt } = await source.getInfo();
  expect(endAt.getTime()).toBeGreaterThan(Date.now() + 200_000);
});

test('snapshots are listed in pages, and by the sandbox that they are of', async () => {
  const [one, two] = await Promise.all([e2b.create(), e2b.create()]);
  const taken: string[] = [];
  for (const sandbox of [one, one, two]) taken.unshift((await sandbox.createSnapshot()).snapshotId);
  const paginator = Sandbox.listSnapshots({ ...e2b.options, limit: 2 });
  const pages: string[][] = [];
  while (paginator.hasNext) pages.push((await paginator.nextItems()).map(({ snapshotId }) => snapshotId));
  expect(pages).toEqual([taken.slice(0, 2), taken.slice(2)]);
  const ofTwo = await two.listSnapshots().nextItems();
  expect(ofTwo.map(({ snapshotId }) => snapshotId)).toEqual(taken.slice(0, 1));
});

test('forks begin with files, metadata and environment of one that goes on, and are nobody else’s', async () => {
  const source = await e2b.create({ envs: { TOKEN: 'inherited' }, metadata: { purpose: 'fork' } });
  await source.commands.run('echo before > state');
  const forks = await source.fork({ count: 3, timeoutMs: 60_000 });
  const children = forks.filter((fork) => fork instanceof Sandbox);
  expect(children).toHaveLength(3);
  expect(new Set([source, ...children].map(({ sandboxId }) => sandboxId)).size).toBe(4);
  for (const child of children) {
    const { stdout } = await child.commands.run('cat state; echo $TOKEN; echo after > state');
    expect(stdout).toBe('before\ninherited\n');
    expect((await child.getInfo()).metadata).toEqual({ purpose: 'fork' });
  }
  expect((await source.commands.run('cat state')).stdout).toBe('before\n');
  // What they were made of is in no list, and counts for nothing once they run.
  expect(await Sandbox.listSnapshots(e2b.options).nextItems()).toEqual([]);
});

test('a fork that the tenant’s limits leave no room for says so by itself', async () => {
  const few = await createE2b({ maxSandboxes: 3 });
  try {
    const source = await few.create();
    const forks = await source.fork({ count: 2 });
    expect(forks.every((fork) => fork instanceof Sandbox)).toBe(true);
    const [third] = await source.fork();
    expect(third).toMatchObject({ message: expect.stringContaining('3 sandboxes at once') });
    await expect(source.fork({ count: 3 })).rejects.toThrow('count is at most 2');
  } finally {
    await few.cleanUp();
  }
});

test('one that was killed, is paused or is another’s is neither snapshotted nor forked', async () => {
  const sandbox = await e2b.create();
  const other = await createE2b();
  await expect(Sandbox.createSnapshot(sandbox.sandboxId, other.options)).rejects.toMatchObject({
    name: 'SandboxNotFoundError',
  });
  await expect(Sandbox.fork(sandbox.sandboxId, other.options)).rejects.toMatchObject({ name: 'SandboxNotFoundError' });
  await sandbox.pause();
  await expect(sandbox.fork()).rejects.toThrow('resume it first');
  await sandbox.kill();
  await expect(sandbox.fork()).rejects.toMatchObject({ name: 'SandboxNotFoundError' });
  await expect(sandbox.createSnapshot()).rejects.toMatchObject({ name: 'SandboxNotFoundError' });
});
