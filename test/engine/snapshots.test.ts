import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { findSnapshotObstacle } from '../../runner/engine/node-facts.ts';
import { createLogger } from '../../runner/log.ts';
import type { TakenSnapshot } from '../../runner/protocol/snapshots.ts';
import { Snapshots, type SnapshotSubject } from '../../runner/snapshots/snapshots.ts';
import { startTestEngine, type TestEngine, type TestSandbox } from '../security/sandbox.ts';
import { waitFor } from '../wait-for.ts';

let its: TestEngine;
let folder: string;
let snapshots: Snapshots;
const signal = AbortSignal.timeout(300_000);
const key = randomBytes(32);

beforeAll(async () => {
  its = await startTestEngine();
  folder = await mkdtemp(join(tmpdir(), 'gbx-snapshots-'));
  snapshots = await openSnapshots();
});
afterEach(async () => {
  for (const { id } of await its.engine.list()) await its.engine.remove(id);
});
afterAll(async () => {
  await its?.dispose();
  await rm(folder, { recursive: true, force: true });
});

async function openSnapshots(over: { diskLimitMiB?: number; cacheLimitMiB?: number } = {}): Promise<Snapshots> {
  const log = createLogger(() => undefined);
  const parts = { engine: its.engine, directory: folder, cacheLimitMiB: 1024, diskLimitMiB: 1024, log, ...over };
  const opened = new Snapshots(parts);
  await opened.open();
  return opened;
}

async function take(sandbox: TestSandbox, from = snapshots): Promise<TakenSnapshot & { id: string }> {
  const id = randomBytes(16).toString('hex');
  return { id, ...(await from.take(subjectOf(sandbox), { id, key }, signal)) };
}
const subjectOf = ({ containerId, session }: TestSandbox): SnapshotSubject => ({
  containerId,
  tenantId: 't',
  environment: { A: '1' },
  memory: 'none',
  session,
  processes: () => [],
});

/** From this node's copy alone. */
function boot(taken: TakenSnapshot & { id: string }, from = snapshots): Promise<TestSandbox> {
  const { id, sizeBytes, image } = taken;
  const source = { id, key: key.toString('base64'), sizeBytes, url: null, inheritEnvironment: true };
  return from.boot(source, { tenantId: 't', signal }, ({ filesystem }) => its.start({ image, filesystem }));
}

/** All that may differ between two file systems, of what the script made. */
const describeFiles = `
import hashlib, json, os
seen = []
for top in ('/d', '/etc', '/opt', '/var/lib', '/home'):
    for folder, folders, files in os.walk(top):
        for path in [folder] + [os.path.join(folder, name) for name in files + folders]:
            if path in ('/etc/hosts', '/etc/hostname', '/etc/resolv.conf', '/etc/mtab', '/etc'): continue
            info = os.lstat(path)
            link = os.readlink(path) if os.path.islink(path) else None
            attributes = {} if link else {name: os.getxattr(path, name).hex() for name in os.listxattr(path)}
            plain = os.path.isfile(path) and not link and info.st_size < 1 << 20
            digest = hashlib.sha256(open(path, 'rb').read()).hexdigest() if plain else None
            links = info.st_nlink if plain else None
            size = None if os.path.isdir(path) else info.st_size
            times = None if os.path.isdir(path) else info.st_mtime_ns
            seen.append([os.fsencode(path).hex(), info.st_mode, info.st_uid, info.st_gid, link, attributes, digest, links, size, times])
print(json.dumps(sorted(seen, key=lambda entry: entry[0])))
`;

const change = `
set -e
mkdir -p /d/deep/er; cd /d
echo plain > plain; chmod 0640 plain; chown 1234:5678 plain
echo set > set-id; chmod 6755 set-id
ln -s /etc/shadow absolute; ln -s ../../../etc/shadow relative; ln -s nowhere dangling
echo one > first; ln first second
mkfifo pipe
truncate -s 900M hole; printf x | dd of=hole bs=1 seek=500000000 conv=notrunc status=none
touch '.wh.plain' '.wh..wh..opq' 'a
new line' "$(printf 'not\\377utf8')"
chmod 1777 /d/deep; touch -d '2001-02-03 04:05:06.789' plain
rm /etc/motd /etc/debian_version
rm -rf /etc/apt; mkdir /etc/apt; echo mine > /etc/apt/mine
rm -rf /opt; echo file > /opt
mv /var/lib/dpkg /var/lib/moved
echo changed >> /etc/passwd
python3 -c "
import os
os.setxattr('/d/plain', 'user.meta', b'va\\0lue'); os.setxattr('/d/deep', 'user.dir', b'y')"
`;

test('what boots from a snapshot has the files that it was taken of: owners, modes, times, links, holes, attributes, deletions', async () => {
  const source = await its.start();
  expect((await source.run(change)).exit.exitCode).toBe(0);
  const before = await source.python<unknown[][]>(describeFiles);
  const taken = await take(source);
  expect(taken.image).toMatch(/^sha256:/);
  // The hole is none in it.
  expect(taken.contentBytes).toBeLessThan(64 * 1024 * 1024);
  await source.remove();

  const booted = await boot(taken);
  expect(await booted.python(describeFiles)).toEqual(before);
  const gone = await booted.run('ls /etc/motd /etc/apt/sources.list.d /opt/x /var/lib/dpkg; stat -c %b /d/hole');
  expect(gone.stderr.match(/No such file|Not a directory/g)).toHaveLength(4);
  expect(Number(gone.stdout.trim())).toBeLessThan(1000);

  // And so does what boots from a snapshot of that.
  await booted.run('rm /d/first; echo again > /etc/motd');
  const second = await boot(await take(booted));
  const list = await second.run('cat /d/second /etc/motd /etc/apt/mine; ls /d/first');
  expect(list.stdout).toBe('one\nagain\nmine\n');
  expect(list.stderr).toContain('No such file');
  await Promise.all([booted.remove(), second.remove()]);
});

test('a container goes on where it stood while it was taken, and one that is paused stays so', async () => {
  const source = await its.start();
  await source.run(
    '(while :; do date +%s%N >> /tmp/beats; sleep 0.01; done) >/dev/null 2>&1 & until [ -s /tmp/beats ]; do sleep 0.01; done',
  );
  await take(source);
  const goesOn = 'n=$(wc -l < /tmp/beats); until [ $(wc -l < /tmp/beats) -gt $n ]; do sleep 0.02; done; echo on';
  expect((await source.run(goesOn)).stdout).toBe('on\n');
  await its.engine.pause(source.containerId);
  await take(source);
  expect((await its.engine.list())[0]?.state).toBe('paused');
  await its.engine.unpause(source.containerId);
  await source.remove();
});

test('what boots from a snapshot is held as tightly as any sandbox', async () => {
  const source = await its.start();
  const booted = await boot(await take(source));
  const [one, other] = await Promise.all(
    [source, booted].map(({ containerId }) => its.docker.getContainer(containerId).inspect()),
  );
  const { Image, Config, HostConfig } = other ?? {};
  expect(Image).toBe(one?.Image);
  const loose = { ...HostConfig, Mounts: null, ExtraHosts: null };
  expect(loose).toEqual({ ...one?.HostConfig, Mounts: null, ExtraHosts: null });
  for (const field of ['Entrypoint', 'Cmd', 'User', 'Env', 'WorkingDir', 'Volumes', 'ExposedPorts'] as const) {
    expect(Config?.[field]).toEqual(one?.Config[field]);
  }
  await Promise.all([source.remove(), booted.remove()]);
});

test('changes beyond the disk limit are refused, the sandbox goes on, and nothing is left', async () => {
  const source = await its.start();
  await source.run('head -c 100M /dev/urandom > /large');
  const small = await openSnapshots({ diskLimitMiB: 16 });
  const files = await readdir(folder);
  await expect(take(source, small)).rejects.toMatchObject({ code: 'snapshot_too_large' });
  expect(await readdir(folder)).toEqual(files);
  expect((await source.run('echo lives')).stdout).toBe('lives\n');
  // Nor is a snapshot that is too large for this node booted here.
  const taken = await take(source);
  await expect(boot(taken, await openSnapshots({ diskLimitMiB: 16 }))).rejects.toMatchObject({
    code: 'snapshot_too_large',
  });
  expect(await its.engine.list()).toHaveLength(1);
  await source.remove();
});

test('a copy whose bytes were changed boots nothing and leaves nothing', async () => {
  const source = await its.start();
  const taken = await take(source);
  await source.remove();
  const path = join(folder, `${taken.id}.sealed`);
  const bytes = await readFile(path);
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  await writeFile(path, bytes);
  await expect(boot(taken)).rejects.toMatchObject({ code: 'snapshot_corrupt' });
  expect(await its.engine.list()).toEqual([]);
  await expect(boot(taken)).rejects.toMatchObject({ code: 'snapshot_unavailable' });
});

test('one that is broken off leaves the sandbox running and no file', async () => {
  const source = await its.start();
  await source.run('head -c 120M /dev/urandom > /large');
  const files = await readdir(folder);
  const abort = new AbortController();
  const id = randomBytes(16).toString('hex');
  const taking = snapshots.take(subjectOf(source), { id, key }, abort.signal);
  taking.catch(() => undefined); // looked at below
  const begun = async () => (await readdir(folder)).some((name) => name.endsWith('.partial'));
  await waitFor('its first bytes', begun, 10_000, 1);
  abort.abort(new Error('enough'));
  await expect(taking).rejects.toThrow('enough');
  expect(await readdir(folder)).toEqual(files);
  expect((await source.run('echo lives')).stdout).toBe('lives\n');
  await source.remove();
});

test('a snapshot of what did not stand still is none', async () => {
  const source = await its.start();
  const container = its.docker.getContainer(source.containerId);
  const thawing = its.engine.capture(
    { containerId: source.containerId, memory: 'none' },
    async ({ layer }) => {
      await container.unpause();
      for await (const _ of layer);
    },
    signal,
  );
  await expect(thawing).rejects.toMatchObject({ code: 'sandbox_not_running' });
  await source.remove();
});

test('nothing reads a container’s files any more when it goes on, although its taker has left the walk half-way', async () => {
  const source = await its.start();
  await source.run('head -c 20M /dev/urandom > /large');
  const leaving = its.engine.capture(
    { containerId: source.containerId, memory: 'none' },
    async ({ layer }) => {
      await layer[Symbol.asyncIterator]().next();
      expect(await walks()).toHaveLength(1);
      throw new Error('the disk is full');
    },
    signal,
  );
  await expect(leaving).rejects.toThrow('the disk is full');
  expect(await walks()).toEqual([]);
  expect((await source.run('echo lives')).stdout).toBe('lives\n');
  await source.remove();
});

/** Of this process: the commands of what reads a layer. */
async function walks(): Promise<string[]> {
  const threads = await readdir('/proc/self/task');
  const lists = await Promise.all(threads.map((thread) => readFile(`/proc/self/task/${thread}/children`, 'utf8')));
  const children = lists.flatMap((list) => list.split(' ')).filter(Boolean);
  const names = await Promise.all(
    children.map((pid) => readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')), // it has ended meanwhile
  );
  return names.filter((name) => name === 'tar\n');
}

test('the least recently used copies go first when they take more than the limit', async () => {
  const source = await its.start();
  await source.run('head -c 3M /dev/urandom > /some');
  const few = await openSnapshots({ cacheLimitMiB: 7 });
  const [first, second] = [await take(source, few), await take(source, few)];
  await (await boot(first, few)).remove();
  const third = await take(source, few);
  await expect(boot(second, few)).rejects.toMatchObject({ code: 'snapshot_unavailable' });
  for (const kept of [first, third]) await (await boot(kept, few)).remove();
  await source.remove();
});

test('a node says why it has no snapshots', () => {
  const overlay = { Driver: 'overlay2', DriverStatus: [['Native Overlay Diff', 'true']] as [string, string][] };
  expect(findSnapshotObstacle(overlay, false)).toBeUndefined();
  expect(findSnapshotObstacle(overlay, true)).toContain('remapping');
  const imageStore = { Driver: 'overlayfs', DriverStatus: [['driver-type', 'io.containerd.snapshotter.v1']] };
  expect(findSnapshotObstacle(imageStore as typeof overlay, false)).toContain('overlay2');
  expect(findSnapshotObstacle({ Driver: 'overlay2', DriverStatus: [] }, false)).toContain('native diff');
});
