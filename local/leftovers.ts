/** What a runner that ended badly may have left of its installation on the engine and in the firewall. */
import type Docker from 'dockerode';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { runCommand } from './command.ts';
import { exists } from './packages.ts';

const FIREWALL_DEADLINE_MS = 20_000;
const FAMILIES = ['iptables', 'ip6tables'] as const;

/** Removes every container, network and firewall chain of the installation; returns a word for each. */
export async function removeLeftovers(docker: Docker, installationId: string): Promise<string[]> {
  const removed: string[] = [];
  const filters = { label: [`glovebox.installation=${installationId}`] };
  for (const { Id } of await docker.listContainers({ all: true, filters })) {
    await ignoreMissing(docker.getContainer(Id).remove({ force: true, v: true }));
    removed.push(`container ${Id.slice(0, 12)}`);
  }
  for (const { Id, Name } of await docker.listNetworks({ filters })) {
    await ignoreMissing(docker.getNetwork(Id).remove());
    removed.push(`network ${Name}`);
  }
  for (const family of FAMILIES) removed.push(...(await removeChains(family, `GBX-${installationId}`)));
  removed.push(...(await removeFrameChain(`GBX-${installationId}-FRAMES`)));
  return removed;
}

async function ignoreMissing(removal: Promise<unknown>): Promise<void> {
  await removal.catch((error: { statusCode?: number }) => {
    // 409: its removal is under way already.
    if (error.statusCode !== 404 && error.statusCode !== 409) throw error;
  });
}

async function removeChains(family: (typeof FAMILIES)[number], prefix: string): Promise<string[]> {
  if (!(await exists(`/usr/sbin/${family}-save`))) return [];
  const saved = await runCommand(`/usr/sbin/${family}-save`, [], { deadlineMs: FIREWALL_DEADLINE_MS });
  const { script, chains } = planChainRemoval(saved, prefix);
  if (chains.length === 0) return [];
  await restore(`/usr/sbin/${family}-restore`, script);
  return chains.map((chain) => `${family} chain ${chain}`);
}

/** Of the filter of bridged frames, whose tool has no restore that leaves others' rules alone in every version. */
async function removeFrameChain(chain: string): Promise<string[]> {
  const program = '/usr/sbin/ebtables';
  if (!(await exists(program))) return [];
  const ebtables = (...args: string[]) =>
    runCommand(program, ['-t', 'filter', ...args], { deadlineMs: FIREWALL_DEADLINE_MS });
  const listed = await ebtables('-L').catch(() => ''); // a kernel without it has no chain either
  if (!listed.includes(`Bridge chain: ${chain},`)) return [];
  if (listed.includes(`-j ${chain}`)) await ebtables('-D', 'FORWARD', '-j', chain);
  await ebtables('-F', chain);
  await ebtables('-X', chain);
  return [`ebtables chain ${chain}`];
}

/**
 * From the output of `iptables-save`: the input for `iptables-restore --noflush` that removes every chain whose name
 * begins with the prefix, and the rules of other chains that lead there.
 */
export function planChainRemoval(saved: string, prefix: string): { script: string; chains: string[] } {
  const chains: string[] = [];
  const script: string[] = [];
  for (const section of saved.split(/^(?=\*)/m)) {
    const lines = section.split('\n');
    const table = lines.find((line) => line.startsWith('*'));
    const own = lines.flatMap((line) => /^:(\S+)/.exec(line)?.[1] ?? []).filter((chain) => chain.startsWith(prefix));
    if (table === undefined || own.length === 0) continue;
    const leading = lines.filter((line) => {
      const [, chain, target] = /^-A (\S+) .*-[jg] (\S+)/.exec(line) ?? [];
      return chain !== undefined && !chain.startsWith(prefix) && target?.startsWith(prefix) === true;
    });
    script.push(
      table,
      ...leading.map((line) => line.replace(/^-A/, '-D')),
      ...own.map((chain) => `-F ${chain}`),
      ...own.map((chain) => `-X ${chain}`),
      'COMMIT',
    );
    chains.push(...own);
  }
  return { script: `${script.join('\n')}\n`, chains };
}

async function restore(program: string, script: string): Promise<void> {
  const child = spawn(program, ['--noflush', '--wait', '5'], {
    stdio: ['pipe', 'ignore', 'inherit'],
    signal: AbortSignal.timeout(FIREWALL_DEADLINE_MS),
  });
  child.stdin.end(script);
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`${program} ended with ${code}`);
}
