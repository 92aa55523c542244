import { readFileSync, statSync } from 'node:fs';
import { AgentFault } from './fault.ts';
import { assumeThreadIdentity, raiseFileCapabilities, resumeThreadIdentity } from './libc.ts';

/** A user of the container, by its own /etc/passwd and /etc/group. */
export interface Identity {
  name: string;
  uid: number;
  gid: number;
  groups: Uint32Array;
  home: string;
  shell: string;
  /** Works on files with root's rights; what it makes is still this user's. */
  privileged?: true;
}

interface Accounts {
  stamp: string;
  byName: Map<string, Identity>;
  byUid: Map<number, Identity>;
  groupNames: Map<number, string>;
}

const passwdPath = '/etc/passwd';
const groupPath = '/etc/group';
/** More than this of either file is not read. */
const accountsBytesMax = 4 * 1024 * 1024;
const idMax = 0xfffffffe;
let accounts: Accounts = { stamp: '', byName: new Map(), byUid: new Map(), groupNames: new Map() };

function stampOf(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? 'absent' : `${stat.ino}.${stat.size}.${stat.mtimeMs}.${stat.ctimeMs}`;
}

function linesOf(path: string): string[][] {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined || !stat.isFile() || stat.size > accountsBytesMax) return [];
  return readFileSync(path, 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
}

const idOf = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,10}$/.test(text) && Number(text) <= idMax ? Number(text) : undefined;

function readAccounts(): Accounts {
  const stamp = `${stampOf(passwdPath)}/${stampOf(groupPath)}`;
  if (accounts.stamp === stamp) return accounts;
  const groupNames = new Map<number, string>();
  const memberships = new Map<string, number[]>();
  for (const [name = '', , gidText, members = ''] of linesOf(groupPath)) {
    const gid = idOf(gidText);
    if (gid === undefined) continue;
    if (!groupNames.has(gid)) groupNames.set(gid, name);
    for (const member of members.split(',')) {
      if (member !== '') memberships.set(member, [...(memberships.get(member) ?? []), gid]);
    }
  }
  const byName = new Map<string, Identity>();
  const byUid = new Map<number, Identity>();
  for (const [name = '', , uidText, gidText, , home = '', shell = ''] of linesOf(passwdPath)) {
    const uid = idOf(uidText);
    const gid = idOf(gidText);
    if (name === '' || uid === undefined || gid === undefined) continue;
    const groups = Uint32Array.from(new Set([gid, ...(memberships.get(name) ?? [])]));
    const identity = { name, uid, gid, groups, home: home || '/', shell: shell || '/bin/sh' };
    if (!byName.has(name)) byName.set(name, identity);
    if (!byUid.has(uid)) byUid.set(uid, identity);
  }
  accounts = { stamp, byName, byUid, groupNames };
  return accounts;
}

/** By name, or by number as `uid` or `uid:gid` (which need no entry). Throws user_not_found. */
export function identityOf(user: string): Identity {
  const known = readAccounts();
  const named = known.byName.get(user);
  if (named !== undefined) return named;
  const [uidText, gidText, ...rest] = user.split(':');
  const uid = idOf(uidText);
  const gid = idOf(gidText);
  if (uid === undefined || rest.length > 0 || (gidText !== undefined && gid === undefined)) {
    throw new AgentFault('user_not_found', `The sandbox has no user «${user}».`);
  }
  const numbered = known.byUid.get(uid);
  if (numbered !== undefined) return gid === undefined ? numbered : { ...numbered, gid, groups: Uint32Array.of(gid) };
  const group = gid ?? uid;
  return { name: String(uid), uid, gid: group, groups: Uint32Array.of(group), home: '/', shell: '/bin/sh' };
}

/** The same for a file operation. */
export function callerOf({ user, privileged }: { user: string; privileged?: boolean | undefined }): Identity {
  const identity = identityOf(user);
  return privileged === true ? { ...identity, privileged } : identity;
}

export const ownerName = (uid: number): string => readAccounts().byUid.get(uid)?.name ?? String(uid);
export const groupName = (gid: number): string => readAccounts().groupNames.get(gid) ?? String(gid);

/**
 * Runs `work` with this thread's credentials those of `identity`: what it opens, makes and starts is checked by the kernel as for
 * that user. It must be synchronous (nothing else may run meanwhile) and use no asynchronous fs function (those run on other
 * threads, which stay root).
 */
export function asIdentity<T>(identity: Identity, work: () => T): T {
  if (identity.uid === 0 && identity.gid === 0) return work();
  assumeThreadIdentity(identity.uid, identity.gid, identity.groups);
  if (identity.privileged) raiseFileCapabilities();
  try {
    return work();
  } finally {
    resumeThreadIdentity();
  }
}
