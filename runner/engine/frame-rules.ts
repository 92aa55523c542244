import { setTimeout as delay } from 'node:timers/promises';
import { asError } from './docker-client.ts';
import { runTool } from './firewall.ts';
import { framesChain } from './firewall-names.ts';

/**
 * No frame passes from one sandbox to another: in the node's filter of bridged frames, where it does not matter since when a port is there.
 * By the bridge; where the kernel can't tell there which bridge a frame is on, by the addresses of what sandboxes can send at all: IPv4 and ARP.
 */
export interface Frames {
  installationId: string;
  bridge: string;
  subnet: string;
}

const program = 'ebtables';
const hook = 'FORWARD';
const holdAttempts = 5;
const holdPauseMs = 100;
const byAddress = ['-p IPv4 --ip-src', '-p IPv4 --ip-dst', '-p ARP --arp-ip-src', '-p ARP --arp-ip-dst'];

/** Any of these does, the first is the best. */
export const frameRules = ({ bridge, subnet }: Frames): [string[], string[]] => [
  [`--logical-in ${bridge} --logical-out ${bridge} -j DROP`],
  byAddress.map((match) => `${match} ${subnet} -j DROP`),
];

/** Why they are not in force, from what `ebtables -L` prints; undefined when they are. Pure. */
export function findFrameFault(frames: Frames, listed: string): string | undefined {
  const own = framesChain(frames.installationId);
  const rules = rulesOf(listed, own)?.join('\n');
  if (rules === undefined) return `there is no ${own}`;
  if (!frameRules(frames).some((variant) => variant.join('\n') === rules)) return `the rules of ${own} differ`;
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
export async function holdFrames(frames: Frames): Promise<void> {
  let fault: string | undefined;
  // Other installations write to the same table.
  for (let attempt = 0; attempt < holdAttempts; attempt++) {
    fault = findFrameFault(frames, await ebtables('-L'));
    if (fault === undefined) return;
    try {
      const [best, other] = frameRules(frames);
      await writeRules(frames, attempt === 0 ? best : other);
    } catch (error) {
      fault = asError(error).message;
      await delay(holdPauseMs * Math.random());
    }
  }
  throw new Error(`the rules for bridged frames did not hold: ${fault}`);
}

async function writeRules({ installationId }: Frames, rules: readonly string[]): Promise<void> {
  const own = framesChain(installationId);
  await removeFrameRules(installationId);
  await ebtables('-N', own, '-P', 'RETURN');
  for (const rule of rules) await ebtables('-A', own, ...rule.split(' '));
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
