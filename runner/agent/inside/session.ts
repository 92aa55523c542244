import { readFileSync, readdirSync } from 'node:fs';

/** How often the table of processes is read again, for those that were forked in the meantime. */
const passes = 4;

/**
 * Kills the process group of a session's leader and every other group of that session: a shell with job control gives each job its
 * own. `withGroup` false: the leader has been waited for, so its group's number may belong to others.
 */
export function signalSession(leader: number, signal: 'SIGKILL', withGroup: boolean): void {
  if (withGroup) send(-leader, signal);
  for (let pass = 0; pass < passes; pass += 1) {
    const members = sessionMembers(leader);
    if (members.length === 0) return;
    for (const pid of members) send(pid, signal);
  }
}

function sessionMembers(session: number): number[] {
  const members: number[] = [];
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid <= 1 || pid === process.pid) continue;
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
      // proc(5): after the parenthesised name come state, ppid, pgrp, session.
      const [state, , , of] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (Number(of) === session && state !== 'Z' && state !== 'X') members.push(pid);
    } catch {
      // It has ended since the listing.
    }
  }
  return members;
}

function send(pid: number, signal: 'SIGKILL'): void {
  try {
    process.kill(pid, signal);
  } catch {
    // ESRCH: ended already.
  }
}
