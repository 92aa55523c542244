import { readFile } from 'node:fs/promises';

/** A process beyond doubt: a pid is used again, a pid with its start time (clock ticks since boot) is not. */
export interface ProcessIdentity {
  pid: number;
  startTime: string;
}

/** The identity of a live process; undefined if there is none with that pid (a zombie counts as none). */
export async function findProcess(pid: number): Promise<ProcessIdentity | undefined> {
  const line = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  if (line === undefined) return undefined;
  // The name in parentheses may hold spaces: what follows it starts with field 3, the state; 22 is the start time.
  const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
  const [state, startTime] = [fields[0], fields[19]];
  if (state === 'Z' || state === 'X' || startTime === undefined) return undefined;
  return { pid, startTime };
}

export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  return (await findProcess(identity.pid))?.startTime === identity.startTime;
}
