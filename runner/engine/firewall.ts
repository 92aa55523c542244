import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { applyScript, findFault, removeScript, type Family, type FirewallPlan } from './firewall-rules.ts';

const commandTimeoutMs = 10_000;
const savedBytesMax = 32 * 1024 * 1024;
/** Seconds that a restore waits for another program's lock on the tables. */
const lockWaitSeconds = 5;
const applyAttempts = 10;
const applyPauseMs = 100;
const families: readonly Family[] = ['ipv4', 'ipv6'];
const programs = { ipv4: 'iptables', ipv6: 'ip6tables' } as const;

/** Puts the rules in place, or back in place, and reads them back. Throws when they did not come to be. */
export async function applyFirewall(plan: FirewallPlan): Promise<void> {
  let fault: string | undefined;
  // The engine and other installations write to the same tables, so what was put on top may not be there a moment later.
  for (let attempt = 0; attempt < applyAttempts; attempt++) {
    for (const family of families) await restore(family, applyScript(plan, family, await save(family)));
    fault = await findFirewallFault(plan);
    if (fault === undefined) return;
    await delay(applyPauseMs * Math.random());
  }
  throw new Error(`the firewall rules did not hold: ${fault}`);
}

/** One change to the rules of IPv4; the tables that it names change each in one step. Throws when it did not come to be. */
export async function changeFirewall(script: string): Promise<void> {
  await restore('ipv4', script);
}

/** Why the rules are not in force; undefined when they are. Throws when they can't be read. */
export async function findFirewallFault(plan: FirewallPlan): Promise<string | undefined> {
  for (const family of families) {
    const fault = findFault(plan, family, await save(family));
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** Removes every chain of the installation and what leads there. Fine when there is none, or no iptables at all. */
export async function removeFirewall(installationId: string): Promise<void> {
  for (const family of families) {
    const saved = await save(family).catch((error: unknown) => {
      if (isMissingProgram(error)) return '';
      throw error;
    });
    const script = removeScript(installationId, saved);
    if (script !== undefined) await restore(family, script);
  }
}

function save(family: Family): Promise<string> {
  return runTool(`${programs[family]}-save`, []);
}

async function restore(family: Family, script: string): Promise<void> {
  await runTool(`${programs[family]}-restore`, ['--noflush', '--wait', String(lockWaitSeconds)], script);
}

/** What it printed. Rejects where it does not end with 0 in time, or there is no such program (ENOENT). */
export async function runTool(program: string, args: string[], input = ''): Promise<string> {
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    signal: AbortSignal.timeout(commandTimeoutMs),
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
  });
  const chunks: Buffer[] = [];
  const complaints: Buffer[] = [];
  let bytes = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= savedBytesMax) chunks.push(chunk);
  });
  child.stderr.on('data', (chunk: Buffer) => complaints.length < 64 && complaints.push(chunk));
  child.stdin.on('error', () => undefined); // It ended before it read all; its exit code tells.
  child.stdin.end(input);
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${program} ended with ${code}: ${Buffer.concat(complaints).toString().trim()}`);
  if (bytes > savedBytesMax) throw new Error(`${program} printed more than ${savedBytesMax} bytes`);
  return Buffer.concat(chunks).toString();
}

function isMissingProgram(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
