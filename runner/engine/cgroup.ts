/** Reading of cgroup and proc files, versions 1 and 2. Pure: text in, numbers out; undefined where a file says "no limit". */

export interface CgroupPaths {
  version: 1 | 2;
  cpu: string;
  /** Version 1 keeps accounting apart from limits. */
  cpuAccounting: string;
  memory: string;
  pids: string;
}

export interface CpuUsage {
  usedSeconds: number;
  limitCpus: number | undefined;
}

export interface MemoryUsage {
  usedBytes: number;
  /** undefined on kernels that don't keep it (version 2 before 5.19). */
  peakBytes: number | undefined;
  /** Contents of files. */
  cacheBytes: number;
  limitBytes: number | undefined;
}

/** The directories of a process's cgroup, from /proc/<pid>/cgroup and /proc/self/mountinfo. Throws if a controller is missing. */
export function locateCgroup(procCgroup: string, mountinfo: string): CgroupPaths {
  const memberships = new Map<string, string>();
  for (const line of procCgroup.split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    for (const controller of controllers?.split(',') ?? []) memberships.set(controller, path ?? '/');
  }
  const mounts = cgroupMounts(mountinfo);
  const unified = memberships.get('');
  if (!memberships.has('memory') && unified !== undefined && mounts.unified !== undefined) {
    const path = join(mounts.unified, unified);
    return { version: 2, cpu: path, cpuAccounting: path, memory: path, pids: path };
  }
  const locate = (controller: string): string => {
    const mount = mounts.controllers.get(controller);
    const membership = memberships.get(controller);
    if (mount === undefined || membership === undefined)
      throw new Error(`no cgroup controller ${controller} on this node`);
    return join(mount, membership);
  };
  return {
    version: 1,
    cpu: locate('cpu'),
    cpuAccounting: locate('cpuacct'),
    memory: locate('memory'),
    pids: locate('pids'),
  };
}

function cgroupMounts(mountinfo: string): { unified: string | undefined; controllers: Map<string, string> } {
  const controllers = new Map<string, string>();
  let unified: string | undefined;
  for (const line of mountinfo.split('\n')) {
    const [before, after] = line.split(' - ');
    const point = before?.split(' ')[4];
    const [type, , options] = after?.split(' ') ?? [];
    if (point === undefined) continue;
    if (type === 'cgroup2') unified ??= point;
    if (type !== 'cgroup') continue;
    // The first: CRIU has mounts of its own for a moment while it restores something.
    for (const option of options?.split(',') ?? []) {
      if (!controllers.has(option)) controllers.set(option, point);
    }
  }
  return { unified, controllers };
}

function join(mount: string, path: string): string {
  return path === '/' ? mount : `${mount}${path}`;
}

/** cpuacct.usage, cpu.cfs_quota_us, cpu.cfs_period_us */
export function parseCpuV1(usage: string, quota: string, period: string): CpuUsage {
  const quotaUs = Number(quota);
  return {
    usedSeconds: parseCpuUsage(1, usage),
    limitCpus: quotaUs <= 0 ? undefined : quotaUs / wholeNumber(period),
  };
}

/** cpu.stat, cpu.max */
export function parseCpuV2(stat: string, max: string): CpuUsage {
  const [quota, period] = max.trim().split(' ');
  return {
    usedSeconds: parseCpuUsage(2, stat),
    limitCpus: quota === 'max' ? undefined : wholeNumber(quota) / wholeNumber(period),
  };
}

/** cpuacct.usage or cpu.stat: seconds. */
export function parseCpuUsage(version: CgroupPaths['version'], text: string): number {
  return version === 1 ? wholeNumber(text) / 1e9 : field(text, 'usage_usec') / 1e6;
}

/** memory.usage_in_bytes or memory.current, and memory.stat. File cache that can go at once isn't use. */
export function parseMemoryUse(version: CgroupPaths['version'], usage: string, stat: string) {
  const [inactive, cache] = version === 1 ? ['total_inactive_file', 'total_cache'] : ['inactive_file', 'file'];
  return { usedBytes: Math.max(0, wholeNumber(usage) - field(stat, inactive)), cacheBytes: field(stat, cache) };
}

/** Version 1 writes "no limit" as the largest page-aligned number. */
const unlimitedBytes = 2 ** 60;

/** memory.usage_in_bytes, memory.stat, memory.max_usage_in_bytes, memory.limit_in_bytes */
export function parseMemoryV1(usage: string, stat: string, peak: string, limit: string): MemoryUsage {
  const limitBytes = Number(limit);
  return {
    ...parseMemoryUse(1, usage, stat),
    peakBytes: wholeNumber(peak),
    limitBytes: limitBytes >= unlimitedBytes ? undefined : limitBytes,
  };
}

/** memory.current, memory.stat, memory.peak (undefined where the kernel has none), memory.max */
export function parseMemoryV2(current: string, stat: string, peak: string | undefined, max: string): MemoryUsage {
  return {
    ...parseMemoryUse(2, current, stat),
    peakBytes: peak === undefined ? undefined : wholeNumber(peak),
    limitBytes: max.trim() === 'max' ? undefined : wholeNumber(max),
  };
}

/** /proc/<pid>/net/dev: all interfaces but loopback. */
export function parseNetworkCounters(text: string): { receivedBytes: number; sentBytes: number } {
  let receivedBytes = 0;
  let sentBytes = 0;
  for (const line of text.split('\n')) {
    const [name, counters] = line.split(':');
    const values = counters?.trim().split(/\s+/).map(Number);
    if (values === undefined || values.length < 16 || name?.trim() === 'lo') continue;
    receivedBytes += values[0] ?? 0;
    sentBytes += values[8] ?? 0;
  }
  return { receivedBytes, sentBytes };
}

/** Throws on anything but a whole number. */
function wholeNumber(text: string | undefined): number {
  const value = Number((text ?? '').trim() || Number.NaN);
  if (!Number.isSafeInteger(value))
    throw new Error(`not a whole number in a cgroup file: ${(text ?? '').slice(0, 40)}`);
  return value;
}

function field(text: string, name: string): number {
  const match = new RegExp(`^${name} (\\d+)$`, 'm').exec(text);
  if (match === null) throw new Error(`no ${name} in a cgroup file`);
  return Number(match[1]);
}
