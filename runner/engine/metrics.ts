import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { SandboxMetrics } from '../protocol/jobs.ts';
import {
  parseCpuV1,
  parseCpuV2,
  parseMemoryV1,
  parseMemoryV2,
  parseNetworkCounters,
  type CgroupPaths,
  type CpuUsage,
  type MemoryUsage,
} from './cgroup.ts';
import type { ContainerFacts } from './container-facts.ts';

/** The shortest interval over which a share of CPU time says something. */
const sampleMinMs = 100;

interface CpuSample {
  atMs: number;
  usedSeconds: number;
}

/** Samples of CPU time by container, so that each reading covers the time since the one before. */
export class MetricsReader {
  readonly #samples = new Map<string, CpuSample>();

  /** From host files only. The first reading of a container takes 100 ms. */
  async read(facts: ContainerFacts, diskUsedBytes: number): Promise<SandboxMetrics> {
    const before = await this.#sampleBefore(facts);
    const [cpu, memory, processes, network] = await Promise.all([
      readCpu(facts.cgroup),
      readMemory(facts.cgroup),
      readFile(`${facts.cgroup.pids}/cgroup.procs`, 'utf8').then((text) => text.split('\n').length - 1),
      readFile(`/proc/${facts.pid}/net/dev`, 'utf8').then(parseNetworkCounters),
    ]);
    const atMs = performance.now();
    const cpus = cpu.limitCpus ?? 0;
    const usedCpus = (cpu.usedSeconds - before.usedSeconds) / ((atMs - before.atMs) / 1000);
    this.#samples.set(facts.containerId, { atMs, usedSeconds: cpu.usedSeconds });
    return {
      atMs: Date.now(),
      cpus,
      cpuSeconds: cpu.usedSeconds,
      cpuUsedPercent: cpus === 0 ? 0 : Math.min(100, Math.max(0, (usedCpus / cpus) * 100)),
      memoryLimitBytes: memory.limitBytes ?? 0,
      memoryUsedBytes: memory.usedBytes,
      memoryCacheBytes: memory.cacheBytes,
      memoryPeakBytes: memory.peakBytes ?? memory.usedBytes,
      diskLimitBytes: facts.diskLimitBytes,
      diskUsedBytes,
      networkReceivedBytes: network.receivedBytes,
      networkSentBytes: network.sentBytes,
      processes,
    };
  }

  forget(containerId: string): void {
    this.#samples.delete(containerId);
  }

  async #sampleBefore(facts: ContainerFacts): Promise<CpuSample> {
    const known = this.#samples.get(facts.containerId);
    if (known !== undefined && performance.now() - known.atMs >= sampleMinMs) return known;
    const first = { atMs: performance.now(), usedSeconds: (await readCpu(facts.cgroup)).usedSeconds };
    await delay(sampleMinMs);
    return first;
  }
}

/** The kernel's own count. */
export async function readOomKills({ version, memory }: CgroupPaths): Promise<number> {
  const name = version === 2 ? 'memory.events' : 'memory.oom_control';
  const found = /^oom_kill (\d+)$/m.exec(await readFile(`${memory}/${name}`, 'utf8'));
  return Number(found?.[1] ?? 0);
}

export async function readCpu(paths: CgroupPaths): Promise<CpuUsage> {
  const text = (directory: string, name: string): Promise<string> => readFile(`${directory}/${name}`, 'utf8');
  if (paths.version === 2) {
    const [stat, max] = await Promise.all([text(paths.cpu, 'cpu.stat'), text(paths.cpu, 'cpu.max')]);
    return parseCpuV2(stat, max);
  }
  const [usage, quota, period] = await Promise.all([
    text(paths.cpuAccounting, 'cpuacct.usage'),
    text(paths.cpu, 'cpu.cfs_quota_us'),
    text(paths.cpu, 'cpu.cfs_period_us'),
  ]);
  return parseCpuV1(usage, quota, period);
}

export async function readMemory({ version, memory }: CgroupPaths): Promise<MemoryUsage> {
  const text = (name: string): Promise<string> => readFile(`${memory}/${name}`, 'utf8');
  if (version === 2) {
    const peak = text('memory.peak').catch(() => undefined);
    return parseMemoryV2(await text('memory.current'), await text('memory.stat'), await peak, await text('memory.max'));
  }
  const [usage, stat, peak, limit] = await Promise.all([
    text('memory.usage_in_bytes'),
    text('memory.stat'),
    text('memory.max_usage_in_bytes'),
    text('memory.limit_in_bytes'),
  ]);
  return parseMemoryV1(usage, stat, peak, limit);
}
