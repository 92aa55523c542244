import { lstat, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContainerFacts } from './container-facts.ts';
import { readMemory } from './metrics.ts';
import type { RuntimeTraits } from './port.ts';

/** What gVisor has to be told; docs/operations.md says why. */
const runtimeArgs = ['--overlay2=none', '--host-uds=open'];

/** For /etc/docker/daemon.json. */
export const runtimeSetting = (name: string): string =>
  JSON.stringify({ runtimes: { [name]: { path: '/usr/bin/runsc', runtimeArgs } } });

/** Reads of the host's files only. `files`: absolute, in the container's own view, in directories that nobody but us has written to. */
export async function examineContainer(
  { pid, layer, cgroup }: ContainerFacts,
  files: readonly string[],
): Promise<RuntimeTraits> {
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8');
  const found = layer === undefined ? [] : await Promise.all(files.map((file) => isFile(join(layer, file))));
  const { limitBytes } = await readMemory(cgroup);
  return {
    kind: isGvisor(command) ? 'gvisor' : undefined,
    filesInLayer: layer !== undefined && found.every(Boolean),
    ownLimits: limitBytes !== undefined,
  };
}

/** A container's first process, as the node sees it: gVisor's kernel, which names itself so. */
export const isGvisor = (command: string): boolean => /^(\S*\/)?runsc-sandbox\0/.test(command);

const isFile = (path: string): Promise<boolean> =>
  lstat(path).then(
    (found) => found.isFile(),
    () => false,
  );
