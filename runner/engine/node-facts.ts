import { access, readFile } from 'node:fs/promises';
import { defaultRuntime } from './container-spec.ts';
import { runtimeSetting } from './runtime.ts';
import { limitFile } from './socket-buffers.ts';

/** What of the engine's own description matters here. */
export interface EngineInfo {
  ServerVersion?: string;
  OSType?: string;
  Driver?: string;
  DriverStatus?: [string, string][] | null;
  DockerRootDir?: string;
  CgroupVersion?: string;
  SecurityOptions?: string[];
  DefaultRuntime?: string;
  Runtimes?: Record<string, unknown>;
  ExperimentalBuild?: boolean;
}

export interface NodeFacts {
  engine: string;
  cgroupVersion: 1 | 2;
  userNamespaces: boolean;
  /** What runs the containers, as the engine calls it. */
  runtime: string;
  /** What all here was built and tested for. Any other is tried with a container of ours before it gets sandboxes. */
  provenRuntime: boolean;
  diskLimit: 'quota' | 'watcher';
  dataRoot: string;
  offersCheckpoints: boolean;
  hardLimits: HardLimits;
  /** Why sandboxes' files can't be taken and brought back here, in one sentence. */
  snapshotObstacle: string | undefined;
  notes: string[];
}

/** What the node's root may have itself of what the kernel counts by user id. */
export interface HardLimits {
  pendingSignals: number;
  messageQueueBytes: number;
}

/** Throws where the engine lacks the runtime, or a sandbox's limits could not be enforced. */
export async function readNodeFacts(info: EngineInfo, runtime = defaultRuntime): Promise<NodeFacts> {
  if (info.OSType !== 'linux')
    throw new Error(`the container engine runs on ${info.OSType ?? 'nothing known'}, not Linux`);
  const security = info.SecurityOptions ?? [];
  if (!security.some((option) => option.startsWith('name=seccomp'))) {
    throw new Error('the container engine has no seccomp; sandboxes need its system-call filter');
  }
  requireRuntime(info.Runtimes ?? {}, runtime);
  const dataRoot = info.DockerRootDir ?? '/var/lib/docker';
  const userNamespaces = security.some((option) => option.startsWith('name=userns'));
  const diskLimit = hasDiskQuota(info, await readFile('/proc/self/mounts', 'utf8'), dataRoot) ? 'quota' : 'watcher';
  const notes: string[] = [];
  if (!userNamespaces) {
    notes.push(
      'User-namespace remapping is off: root in a sandbox is the uid 0 of the node, held by capabilities and seccomp.',
      'Without user namespaces the kernel counts pending signals, POSIX message queues and descriptors under way between processes by ' +
        'user id over all sandboxes: one sandbox can keep its neighbours from having more of them, though not the node.',
    );
  }
  if (diskLimit === 'watcher') {
    notes.push(
      `The storage driver ${info.Driver ?? 'unknown'} has no quota here: disk limits are enforced by measuring, so a sandbox can ` +
        'pass its limit for a few seconds before it is ended.',
    );
  }
  if (info.CgroupVersion !== '2' && !(await exists(`/sys/fs/cgroup/memory/${limitFile}`))) {
    notes.push(
      'This kernel’s cgroups (version 1) have no limit for socket buffers: one sandbox can use up those of the node.',
    );
  }
  const snapshotObstacle = findSnapshotObstacle(info, userNamespaces);
  if (snapshotObstacle !== undefined) notes.push(snapshotObstacle);
  const offersCheckpoints = info.ExperimentalBuild === true && !userNamespaces;
  if (!offersCheckpoints) {
    notes.push(
      'A pause that keeps processes keeps their memory in use: checkpoints need the engine’s experimental mode and (with runc) CRIU' +
        (userNamespaces ? ', and can’t be restored under user-namespace remapping.' : '.'),
    );
  }
  return {
    engine: `Docker ${info.ServerVersion ?? 'unknown'}`,
    cgroupVersion: info.CgroupVersion === '2' ? 2 : 1,
    userNamespaces,
    runtime,
    provenRuntime: runtime === defaultRuntime,
    diskLimit,
    dataRoot,
    offersCheckpoints,
    hardLimits: readHardLimits(await readFile('/proc/self/limits', 'utf8')),
    snapshotObstacle,
    notes,
  };
}

function requireRuntime(offered: Record<string, unknown>, runtime: string): void {
  if (offered[runtime] !== undefined) return;
  const names = Object.keys(offered).filter((name) => !name.startsWith('io.containerd.'));
  throw new Error(
    `the container engine has no runtime named ${runtime} (it has ${names.join(', ') || 'none'}): add it under "runtimes" in ` +
      '/etc/docker/daemon.json and have dockerd read it (systemctl reload docker), or change GLOVEBOX_RUNTIME' +
      (runtime === defaultRuntime ? '' : `; for gVisor: ${runtimeSetting(runtime)}`),
  );
}

/**
 * Snapshots are made of overlayfs's upper directories as they are. Engines with containerd's image store call their driver `overlayfs` and
 * don't tell where those lie; with redirects or metadata-only copies one can't be read by itself; remapped owners mean nothing elsewhere.
 */
export function findSnapshotObstacle(info: EngineInfo, userNamespaces: boolean): string | undefined {
  const nativeDiff = (info.DriverStatus ?? []).some(
    ([name, value]) => name === 'Native Overlay Diff' && value === 'true',
  );
  if (info.Driver !== 'overlay2' || !nativeDiff) {
    return `This node cannot take or boot snapshots: they need the storage driver overlay2 with its native diff, not ${info.Driver ?? 'an unknown one'}.`;
  }
  return userNamespaces ? 'This node cannot take or boot snapshots: user-namespace remapping is on.' : undefined;
}

/** overlay2 takes a size only on xfs mounted with project quotas; it is the one combination that was designed for. */
export function hasDiskQuota(info: EngineInfo, mounts: string, dataRoot: string): boolean {
  if (info.Driver !== 'overlay2') return false;
  const holding = mounts
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, point]) => point !== undefined && (point === '/' || `${dataRoot}/`.startsWith(`${point}/`)))
    .reduce<string[]>((best, entry) => ((entry[1] ?? '').length >= (best[1] ?? '').length ? entry : best), []);
  const [, , type, mountOptions] = holding;
  return (
    type === 'xfs' && (mountOptions ?? '').split(',').some((option) => option === 'prjquota' || option === 'pquota')
  );
}

/** From /proc/self/limits. The engine's own are the same or higher: it is a service of the same node's. */
export function readHardLimits(text: string): HardLimits {
  const hard = (name: string): number => {
    const value = new RegExp(`^${name}\\s+\\S+\\s+(\\S+)`, 'm').exec(text)?.[1];
    return value === undefined || value === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(value);
  };
  return { pendingSignals: hard('Max pending signals'), messageQueueBytes: hard('Max msgqueue size') };
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
