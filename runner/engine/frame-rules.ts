import { setTimeout as delay } from 'node:timers/promises';
import { asError } from './docker-client.ts';
import { runTool } from './firewall.ts';
import { framesChain } from './firewall-names.ts';

/**
 * No frame passes from one sandbox to another: in the node's filter of bridged frames, where it does not matter since when a port is there.
 * What sandboxes can send at all is IPv4 and ARP. By addresses: not every kernel can tell there which bridge a frame is on.
 */
const matches = ['-p IPv4 --ip-src', '-p IPv4 --ip-dst', '-p ARP --arp-ip-src', '-p ARP --arp-ip-dst'];
const program = 'ebtables';
const hook = 'FORWARD';
const holdAttempts = 5;
const holdPauseMs = 100;

export const frameRules = (subnet: string): string[] => matches.map((match) => `${match} ${subnet} -j DROP`);

/** Why they are not in force, from what `ebtables -L` prints; undefined when they are. Pure. */
export function findFrameFault(installationId: string, subnet: string, listed: string): string | undefined {
  const own = framesChain(installationId);
  const rules = rulesOf(listed, own);
  if (rules === undefined) return `there is no ${own}`;
  if (rules.join('\n') !== frameRules(subnet).join('\n')) return `the rules of ${own} differ`;
  const hooked = rulesOf(listed, hook) ?? [];
  const at = hooked.indexOf(`-j ${own}`);
  if (at < 0) return `${hook} does not lead to ${own}`;
  const others = hooked.slice(0, at).filter((rule) => !/^-j GBX-[0-9a-f]{12}-FRAMES$/.test(rule));
  return others.length > 0 ? `other rules of ${hook} come before ${own}` : undefined;
}

/** Of one chain, in order; undefined where it is not there. */
function rulesOf(listed: string, chain: string): string[] | undefined {
  const section = listed.split(/^Bridge chain: /m).find((text) => text.startsWith(`${chain},`));
  return section
    ?.split('\n')
    .slice(1)
    .map((line) => line.trim())
    .filter((line) => line.startsWith('-'));
}

const ebtables = (...args: string[]): Promise<string> => runTool(program, ['--concurrent', '-t', 'filter', ...args]);

/** Puts them in place, or back in place, and reads them back. Throws where they can't be had. */
export async function holdFrames(installationId: string, subnet: string): Promise<void> {
  let fault: string | undefined;
  // Other installations write to the same table.
  for (let attempt = 0; attempt < holdAttempts; attempt++) {
    fault = findFrameFault(installationId, subnet, await ebtables('-L'));
    if (fault === undefined) return;
    try {
      await writeRules(installationId, subnet);
    } catch (error) {
      fault = asError(error).message;
      await delay(holdPauseMs * Math.random());
    }
  }
  throw new Error(`the rules for bridged frames did not hold: ${fault}`);
}

async function writeRules(installationId: string, subnet: string): Promise<void> {
  await removeFrameRules(installationId);
  const own = framesChain(installationId);
  await ebtables('-N', own, '-P', 'RETURN');
  for (const rule of frameRules(subnet)) await ebtables('-A', own, ...rule.split(' '));
  await ebtables('-I', hook, '1', '-j', own);
}

/** Fine when there are none, or no ebtables at all. */
export async function removeFrameRules(installationId: string): Promise<void> {
  const own = framesChain(installationId);
  const listed = await ebtables('-L').catch(() => '');
  const leading = (rulesOf(listed, hook) ?? []).filter((rule) => rule === `-j ${own}`);
  for (const _ of leading) await ebtables('-D', hook, '-j', own);
  if (rulesOf(listed, own) === undefined) return;
  await ebtables('-F', own);
  await ebtables('-X', own);
}
