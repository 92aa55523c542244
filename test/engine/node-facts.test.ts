import { describe, expect, test } from 'vitest';
import { diagnoseExit } from '../../runner/engine/exit-diagnosis.ts';
import { EventQueue, parseEngineEvent } from '../../runner/engine/engine-events.ts';
import { hasDiskQuota, readHardLimits, readNodeFacts } from '../../runner/engine/node-facts.ts';
import { isGvisor } from '../../runner/engine/runtime.ts';
import { seccompProfile } from '../../runner/engine/seccomp.ts';

const info = {
  ServerVersion: '20.10.24',
  OSType: 'linux',
  Driver: 'overlay2',
  DockerRootDir: '/var/lib/docker',
  CgroupVersion: '1',
  SecurityOptions: ['name=seccomp,profile=default'],
  Runtimes: { runc: {} },
};

describe('what a node can do', () => {
  test('no seccomp, no Linux, no runc: sandboxes are refused altogether', async () => {
    await expect(readNodeFacts({ ...info, SecurityOptions: [] })).rejects.toThrow('seccomp');
    await expect(readNodeFacts({ ...info, OSType: 'windows' })).rejects.toThrow('Linux');
    await expect(readNodeFacts({ ...info, Runtimes: {} })).rejects.toThrow('runc');
  });

  test('a runtime that the engine lacks is refused with what to put into its settings; one that it has is taken', async () => {
    const Runtimes = { runc: {}, 'io.containerd.runc.v2': {} };
    const refused = readNodeFacts({ ...info, Runtimes }, 'runsc');
    await expect(refused).rejects.toThrow(
      /no runtime named runsc \(it has runc\).*daemon\.json.*"runsc".*--overlay2=none.*--host-uds=open/,
    );
    const other = await readNodeFacts({ ...info, Runtimes: { runsc: {} } }, 'runsc');
    expect(other).toMatchObject({ runtime: 'runsc', provenRuntime: false });
    expect(await readNodeFacts(info)).toMatchObject({ runtime: 'runc', provenRuntime: true });
  });

  test('gVisor is told by its kernel’s own command line, by nothing else', () => {
    expect(isGvisor('runsc-sandbox\0--root=/run\0boot\0')).toBe(true);
    expect(isGvisor('/proc/self/exe/runsc-sandbox\0boot\0')).toBe(true);
    for (const other of ['', '/.glovebox/tini\0--\0runsc-sandbox\0', 'runsc-sandbox-like\0', 'runsc-gofer\0']) {
      expect(isGvisor(other)).toBe(false);
    }
  });

  test('missing remapping and quotas are named', async () => {
    const facts = await readNodeFacts(info);
    expect(facts).toMatchObject({ cgroupVersion: 1, userNamespaces: false, diskLimit: 'watcher' });
    expect(facts.notes.filter((note) => note.includes('user id'))).toHaveLength(1);
    const remapped = await readNodeFacts({
      ...info,
      CgroupVersion: '2',
      SecurityOptions: ['name=seccomp', 'name=userns'],
    });
    expect(remapped).toMatchObject({ cgroupVersion: 2, userNamespaces: true });
  });

  test('the limits of the node’s own root are read, unlimited ones too', () => {
    const text = 'Limit  Soft Limit  Hard Limit  Units\nMax pending signals       96365  96366  signals\n';
    expect(readHardLimits(`${text}Max msgqueue size         819200  unlimited  bytes\n`)).toEqual({
      pendingSignals: 96_366,
      messageQueueBytes: Number.MAX_SAFE_INTEGER,
    });
  });

  test('a disk quota is there only for overlay2 on xfs with project quotas', () => {
    const mounts = (type: string, options: string): string =>
      `/dev/a / ext4 rw 0 0\n/dev/b /var/lib ${type} ${options} 0 0\n`;
    expect(hasDiskQuota(info, mounts('xfs', 'rw,prjquota'), '/var/lib/docker')).toBe(true);
    expect(hasDiskQuota(info, mounts('xfs', 'rw,noquota'), '/var/lib/docker')).toBe(false);
    expect(hasDiskQuota(info, mounts('ext4', 'rw,prjquota'), '/var/lib/docker')).toBe(false);
    expect(hasDiskQuota(info, mounts('xfs', 'rw,prjquota'), '/srv/docker')).toBe(false);
    expect(hasDiskQuota({ ...info, Driver: 'btrfs' }, mounts('xfs', 'rw,prjquota'), '/var/lib/docker')).toBe(false);
  });
});

describe('why a container ended', () => {
  test('another architecture and a missing C library are the image’s; a kill and an oom are not', () => {
    const exit = { exitCode: 0, oomKilled: false, startError: '' };
    expect(diagnoseExit({ ...exit, startError: 'exec /x: exec format error' })).toContain('architecture');
    expect(diagnoseExit({ ...exit, exitCode: 127 })).toContain('glibc');
    expect(diagnoseExit({ ...exit, exitCode: 137 })).toBeNull();
    expect(diagnoseExit({ ...exit, exitCode: 137, oomKilled: true })).toBeNull();
  });
});

describe('events', () => {
  test('deaths carry the exit code; other lines are passed over', () => {
    const line = (Action: string, Attributes = {}): string =>
      JSON.stringify({ Action, Actor: { ID: 'c1', Attributes } });
    expect(parseEngineEvent(line('die', { exitCode: '137' }))).toEqual({
      kind: 'exited',
      containerId: 'c1',
      exitCode: 137,
    });
    expect(parseEngineEvent(line('start'))).toBeUndefined();
    expect(parseEngineEvent('')).toBeUndefined();
  });

  test('repeated ooms of one container wait as one; a reader that never comes ends the stream, not the runner', async () => {
    const queue = new EventQueue();
    for (let count = 0; count < 5; count++) queue.push({ kind: 'oom', containerId: 'c1' });
    const abort = new AbortController();
    const seen: string[] = [];
    for await (const { kind } of queue.read(abort.signal)) {
      seen.push(kind);
      abort.abort();
    }
    expect(seen).toEqual(['oom']);
    for (let count = 0; count < 10_001; count++) queue.push({ kind: 'exited', containerId: `c${count}`, exitCode: 0 });
    await expect(
      (async () => {
        for await (const { kind } of queue.read(new AbortController().signal)) seen.push(kind);
      })(),
    ).rejects.toThrow('10000');
  });
});

test('the system-call filter has no second ABI and names no call twice', () => {
  const profile = JSON.parse(seccompProfile()) as {
    defaultAction: string;
    archMap: { subArchitectures: string[] }[];
    syscalls: { names: string[]; args?: unknown[] }[];
  };
  expect(profile.defaultAction).toBe('SCMP_ACT_ERRNO');
  expect(profile.archMap.flatMap(({ subArchitectures }) => subArchitectures)).toEqual([]);
  const plain = profile.syscalls.filter(({ args }) => args === undefined).flatMap(({ names }) => names);
  expect(new Set(plain).size).toBe(plain.length);
});
