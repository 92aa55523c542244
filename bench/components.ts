/** The service's processes on this machine, found from the port it listens on, and their resident memory. */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { toMiB } from './statistics.ts';

const SAMPLE_EVERY_MS = 100;
const LISTENING = '0A';

export type Component = 'worker' | 'redis' | 'runner' | 'engine';
export type Components = ReadonlyMap<Component, number[]>;

/** Component → pids. Without those that are not on this machine (or not to be seen by this user). */
export async function findComponents(url: string): Promise<Components> {
  const components = new Map<Component, number[]>();
  const processes = await listProcesses();
  const engine = processes.filter(({ name }) => name === 'dockerd' || name === 'containerd');
  if (engine.length > 0)
    components.set(
      'engine',
      engine.map(({ pid }) => pid),
    );
  const worker = await findListener(Number(new URL(url).port), processes);
  if (!worker) return components;
  components.set('worker', [worker.pid]);
  // Redis and the runner are the worker's siblings: one supervisor starts all three.
  const siblings = processes.filter(({ parent }) => parent === worker.parent);
  const redis = siblings.find(({ name }) => name === 'redis-server');
  const runner = siblings.find(({ commandLine }) => commandLine.includes('runner/main.ts'));
  if (redis) components.set('redis', [redis.pid]);
  if (runner) components.set('runner', [runner.pid]);
  return components;
}

interface Process {
  pid: number;
  parent: number;
  name: string;
  commandLine: string;
}

async function listProcesses(): Promise<Process[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(pids.map(readProcess));
  return found.filter((process) => process !== undefined);
}

async function readProcess(pid: number): Promise<Process | undefined> {
  const [status, commandLine] = await Promise.all([readProc(pid, 'status'), readProc(pid, 'cmdline')]);
  if (status === undefined || commandLine === undefined) return undefined;
  const field = (name: string) => new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(status)?.[1];
  return { pid, parent: Number(field('PPid')), name: field('Name') ?? '', commandLine };
}

/** undefined: it has ended meanwhile. */
function readProc(pid: number, file: string): Promise<string | undefined> {
  return readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => undefined);
}

async function findListener(port: number, processes: readonly Process[]): Promise<Process | undefined> {
  const tables = await Promise.all(
    ['tcp', 'tcp6'].map((name) => readFile(`/proc/net/${name}`, 'utf8').catch(() => '')),
  );
  const inodes = new Set<string>();
  for (const line of tables.join('\n').split('\n')) {
    const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
    if (state === LISTENING && inode !== undefined && Number.parseInt(local?.split(':')[1] ?? '', 16) === port) {
      inodes.add(`socket:[${inode}]`);
    }
  }
  for (const process of processes) {
    if (await holdsOneOf(process.pid, inodes)) return process;
  }
  return undefined;
}

async function holdsOneOf(pid: number, targets: ReadonlySet<string>): Promise<boolean> {
  const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
  for (const descriptor of descriptors) {
    const target = await readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => '');
    if (targets.has(target)) return true;
  }
  return false;
}

/** Resident MiB by component; a process that has ended counts nothing. */
export async function readMemory(components: Components): Promise<Record<string, number>> {
  const memory: Record<string, number> = {};
  for (const [component, pids] of components) {
    const statuses = await Promise.all(pids.map((pid) => readProc(pid, 'status')));
    const kibibytes = statuses.map((status) => Number(/^VmRSS:\s*(\d+)/m.exec(status ?? '')?.[1] ?? 0));
    memory[component] = toMiB(kibibytes.reduce((sum, value) => sum + value, 0) * 1024);
  }
  return memory;
}

/** By how many MiB each component is larger in `after` than in `before`. */
export function growth(before: Record<string, number>, after: Record<string, number>): Record<string, number> {
  const differences = Object.entries(after).map(([name, value]) => [name, value - (before[name] ?? 0)]);
  return Object.fromEntries(differences) as Record<string, number>;
}

/** Runs `work` and tells by how much each component's memory was more at its highest than before, and what it was at its lowest. */
export async function withMemoryGrowth<T>(
  components: Components,
  work: () => Promise<T>,
): Promise<{ value: T; growthMiB: Record<string, number>; lowestMiB: Record<string, number> }> {
  const before = await readMemory(components);
  const peak = { ...before };
  const lowest: Record<string, number> = {};
  const sample = async () => {
    for (const [name, value] of Object.entries(await readMemory(components))) {
      peak[name] = Math.max(peak[name] ?? 0, value);
      lowest[name] = Math.min(lowest[name] ?? Number.POSITIVE_INFINITY, value);
    }
  };
  let sampling = Promise.resolve();
  const timer = setInterval(() => {
    sampling = sampling.then(sample);
  }, SAMPLE_EVERY_MS);
  try {
    const value = await work();
    clearInterval(timer);
    await sampling;
    await sample();
    return { value, growthMiB: growth(before, peak), lowestMiB: lowest };
  } finally {
    clearInterval(timer);
  }
}
