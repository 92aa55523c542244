import { setTimeout as sleep } from 'node:timers/promises';
import { withSandboxes, type Bench } from './bench.ts';
import { readAvailableMiB, readContainerMemory, type ContainerMemory } from './sandbox-memory.ts';
import { round } from './statistics.ts';

const SANDBOXES = 100;
const SETTLE_MS = 3_000;

/** A hundred sandboxes at once, each having run a command and idle since: what they cost this node. */
export async function measureIdle(bench: Bench): Promise<void> {
  const { host, client, report } = bench;
  if (!host) return void report.asides.notes.push('Idle memory was left out: the sandboxes are not on this machine.');
  const { docker, installationId } = host;
  const filters = { label: [`glovebox.installation=${installationId}`], status: ['running'] };
  const listContainers = () => docker.listContainers({ filters });
  await host.pool.waitUntilFull();
  bench.progress(`idle: ${SANDBOXES} sandboxes at once`);
  const before = { available: await readAvailableMiB(), containers: (await listContainers()).length };
  await withSandboxes(bench, SANDBOXES, async (ids) => {
    for (const id of ids) await client.expectOutput(id, 'echo idle', 'idle\n');
    await host.pool.waitUntilFull();
    await sleep(SETTLE_MS);
    const after = { available: await readAvailableMiB(), containers: await listContainers() };
    const each: ContainerMemory[] = [];
    for (const { Id } of after.containers) each.push(await readContainerMemory(docker, Id));
    const mean = (pick: (memory: ContainerMemory) => number) =>
      each.reduce((sum, memory) => sum + pick(memory), 0) / each.length;
    const containerMiB = mean((memory) => memory.containerMiB);
    const shimMiB = mean((memory) => memory.shimMiB);
    const nodeMiB = (before.available - after.available) / (after.containers.length - before.containers);
    report.results.idleSandboxMiB = round(containerMiB + shimMiB);
    report.asides.idle = {
      count: ids.length,
      containerMiB: round(containerMiB),
      shimMiB: round(shimMiB),
      nodeMiB: round(nodeMiB),
    };
  });
}
