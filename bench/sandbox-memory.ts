/** What sandboxes cost the node, from the host's side: control groups, containerd's shims, and the kernel's own account. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type Docker from 'dockerode';
import { toMiB } from './statistics.ts';

export interface ContainerMemory {
  /** The container's control group (tini, agent, helpers) without page cache that the kernel would drop first. */
  containerMiB: number;
  /** Proportional share of the shim that holds it. */
  shimMiB: number;
}

export async function readContainerMemory(docker: Docker, containerId: string): Promise<ContainerMemory> {
  const { State } = await docker.getContainer(containerId).inspect();
  const [group, shim] = await Promise.all([readControlGroup(State.Pid), readShare(await findParent(State.Pid))]);
  return { containerMiB: toMiB(group), shimMiB: toMiB(shim) };
}

/** Kernel memory (stacks, page tables) is in the usage, with version 1 too. */
async function readControlGroup(pid: number): Promise<number> {
  const groups = await readFile(`/proc/${pid}/cgroup`, 'utf8');
  const v1 = /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(.*)$/m.exec(groups)?.[1];
  if (v1 !== undefined) {
    const folder = join('/sys/fs/cgroup/memory', v1);
    return readUsage(folder, 'memory.usage_in_bytes', 'total_inactive_file');
  }
  const v2 = /^0::(.*)$/m.exec(groups)?.[1];
  if (v2 === undefined) throw new Error(`process ${pid} is in no memory control group`);
  return readUsage(join('/sys/fs/cgroup', v2), 'memory.current', 'inactive_file');
}

async function readUsage(folder: string, usageFile: string, droppable: string): Promise<number> {
  const [usage, stat] = await Promise.all([
    readFile(join(folder, usageFile), 'utf8'),
    readFile(join(folder, 'memory.stat'), 'utf8'),
  ]);
  const cache = new RegExp(`^${droppable} (\\d+)$`, 'm').exec(stat)?.[1];
  if (cache === undefined) throw new Error(`${folder}/memory.stat has no ${droppable}`);
  return Number(usage) - Number(cache);
}

async function findParent(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^PPid:\s*(\d+)/m.exec(status)?.[1]);
}

async function readShare(pid: number): Promise<number> {
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8');
  return Number(/^Pss:\s*(\d+)/m.exec(rollup)?.[1]) * 1024;
}

/** MiB that the kernel could give to something new. */
export async function readAvailableMiB(): Promise<number> {
  const info = await readFile('/proc/meminfo', 'utf8');
  return Number(/^MemAvailable:\s*(\d+)/m.exec(info)?.[1]) / 1024;
}
