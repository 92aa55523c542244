import { readFileSync } from 'node:fs';
import { parseCpuUsage, parseMemoryUse, type CgroupPaths } from './cgroup.ts';

/**
 * Three small files, read without leaving the thread: the kernel answers each from memory within some ten microseconds, a fifth of what
 * handing the call to another thread costs.
 */
export function readUsage({ version, cpuAccounting, memory }: CgroupPaths) {
  const read = (directory: string, name: string): string => readFileSync(`${directory}/${name}`, 'utf8');
  const cpu = read(cpuAccounting, version === 2 ? 'cpu.stat' : 'cpuacct.usage');
  const current = read(memory, version === 2 ? 'memory.current' : 'memory.usage_in_bytes');
  const { usedBytes, cacheBytes } = parseMemoryUse(version, current, read(memory, 'memory.stat'));
  return { cpuSeconds: parseCpuUsage(version, cpu), memoryUsedBytes: usedBytes, memoryCacheBytes: cacheBytes };
}
