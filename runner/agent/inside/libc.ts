import { FFIType, dlopen, ptr, read } from 'bun:ffi';

/**
 * The few system calls that Bun has no function for. Credentials are set by raw system calls, not by libc's functions: those change
 * every thread of the process, the raw calls only the calling one (nptl(7)).
 */
const libc = dlopen('libc.so.6', {
  syscall: { args: ['i32', FFIType.i64_fast, FFIType.i64_fast, FFIType.i64_fast], returns: FFIType.i64_fast },
  pipe2: { args: ['ptr', 'i32'], returns: 'i32' },
  faccessat: { args: ['i32', 'ptr', 'i32', 'i32'], returns: 'i32' },
  memfd_create: { args: ['ptr', 'u32'], returns: 'i32' },
  ioctl: { args: ['i32', FFIType.u64_fast, FFIType.i64_fast], returns: 'i32' },
  inotify_init1: { args: ['i32'], returns: 'i32' },
  inotify_add_watch: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
  inotify_rm_watch: { args: ['i32', 'i32'], returns: 'i32' },
  capget: { args: ['ptr', 'ptr'], returns: 'i32' },
  capset: { args: ['ptr', 'ptr'], returns: 'i32' },
  listxattr: { args: ['ptr', 'ptr', FFIType.u64_fast], returns: FFIType.i64_fast },
  getxattr: { args: ['ptr', 'ptr', 'ptr', FFIType.u64_fast], returns: FFIType.i64_fast },
  fsetxattr: { args: ['i32', 'ptr', 'ptr', FFIType.u64_fast, 'i32'], returns: 'i32' },
  __errno_location: { args: [], returns: 'ptr' },
}).symbols;

/** Numbers of include/uapi/asm: they differ between the two architectures that we run on. */
const numbers =
  process.arch === 'arm64'
    ? { setgroups: 159, setresgid: 149, setresuid: 147 }
    : { setgroups: 116, setresgid: 119, setresuid: 117 };

const atFdCwd = -100;
const atEaccess = 0x200;
const unchanged = -1;
const cloexec = 0o2000000;
const tcxonc = 0x540a;
const noGroups = new Uint32Array(1);

const cstring = (text: string): Uint8Array => Buffer.from(`${text}\0`);

function credential(what: string, result: number | bigint): void {
  // Going on with another uid than asked for must not happen: end the sandbox rather than act as the wrong user.
  if (Number(result) !== 0) {
    console.error(`glovebox agent: ${what} failed; stopping`);
    process.exit(70);
  }
}

/**
 * Effective ids and groups of this thread. The real and saved ids stay root's: so that it can come back, and so that the user's
 * processes may not signal the agent meanwhile (kill(2) looks at those two).
 */
export function assumeThreadIdentity(uid: number, gid: number, groups: Uint32Array): void {
  const list = ptr(groups.length === 0 ? noGroups : groups);
  credential('setgroups', libc.syscall(numbers.setgroups, groups.length, list, 0));
  credential('setresgid', libc.syscall(numbers.setresgid, unchanged, gid, unchanged));
  credential('setresuid', libc.syscall(numbers.setresuid, unchanged, uid, unchanged));
}

/** The real ids too, as a program needs them that is started now: its saved ones become the effective ones by execve(2). */
export function assumeRealIdentity(uid: number, gid: number): void {
  credential('setresgid', libc.syscall(numbers.setresgid, gid, unchanged, unchanged));
  credential('setresuid', libc.syscall(numbers.setresuid, uid, unchanged, unchanged));
}

export function resumeThreadIdentity(): void {
  credential('setresuid', libc.syscall(numbers.setresuid, 0, 0, 0));
  credential('setresgid', libc.syscall(numbers.setresgid, 0, 0, 0));
  credential('setgroups', libc.syscall(numbers.setgroups, 0, ptr(noGroups), 0));
}

/** Of capabilities(7), those by which root may do with others' files what their owners may. */
const fileCapabilities = [0, 1, 3, 4].reduce((bits, capability) => bits | (1 << capability), 0);
const capabilityHeader = Uint32Array.of(0x20080522, 0);
const capabilitySets = new Uint32Array(6);

/**
 * Root's rights over files for a thread that has a user's ids, so that what it makes is the user's. The permitted set is still root's, as
 * the real and saved ids are; resumeThreadIdentity makes all of it effective again.
 */
export function raiseFileCapabilities(): void {
  credential('capget', libc.capget(ptr(capabilityHeader), ptr(capabilitySets)));
  capabilitySets[0] = (capabilitySets[1] ?? 0) & fileCapabilities;
  capabilitySets[3] = 0;
  credential('capset', libc.capset(ptr(capabilityHeader), ptr(capabilitySets)));
}

export function pipe(): { read: number; write: number } {
  const fds = new Int32Array(2);
  if (libc.pipe2(ptr(fds), cloexec) !== 0) throw new Error('no pipe could be made: too many open files');
  return { read: fds[0] ?? -1, write: fds[1] ?? -1 };
}

export type Access = 'read' | 'write' | 'execute';
const accessBits: Record<Access, number> = { read: 4, write: 2, execute: 1 };

/** By the effective ids, unlike access(2). */
export const mayAccess = (path: string, access: Access): boolean =>
  libc.faccessat(atFdCwd, ptr(cstring(path)), accessBits[access], atEaccess) === 0;

export function memoryFile(name: string): number {
  const fd = libc.memfd_create(ptr(cstring(name)), 1);
  if (fd < 0) throw new Error('no memory file could be made');
  return fd;
}

/** Stops or restarts a terminal's output: what writes to it blocks meanwhile (tcflow(3)). */
export const terminalFlow = (slaveFd: number, stop: boolean): boolean =>
  libc.ioctl(slaveFd, tcxonc, stop ? 0 : 1) === 0;

export const inotifyOpen = (): number => libc.inotify_init1(cloexec | 0o4000);
export const inotifyAdd = (fd: number, path: string, mask: number): number =>
  libc.inotify_add_watch(fd, ptr(cstring(path)), mask);
export const inotifyRemove = (fd: number, descriptor: number): number => libc.inotify_rm_watch(fd, descriptor);

const attributeBytesMax = 64 * 1024;
const attributeBuffer = new Uint8Array(attributeBytesMax);
const errno = { EDQUOT: 122, ENOSPC: 28 } as const;

/** Names of the extended attributes (xattr(7)), through symlinks; none where they cannot be read. */
export function attributeNames(path: string): Buffer[] {
  const length = Number(libc.listxattr(ptr(cstring(path)), ptr(attributeBuffer), attributeBytesMax));
  const names: Buffer[] = [];
  for (let at = 0; at < length;) {
    const end = attributeBuffer.indexOf(0, at);
    names.push(Buffer.from(attributeBuffer.subarray(at, end)));
    at = end + 1;
  }
  return names;
}

/** undefined: it is gone, or cannot be read. */
export function attribute(path: string, name: string): Buffer | undefined {
  const length = Number(libc.getxattr(ptr(cstring(path)), ptr(cstring(name)), ptr(attributeBuffer), attributeBytesMax));
  return length < 0 ? undefined : Buffer.from(attributeBuffer.subarray(0, length));
}

export function setAttribute(fd: number, name: string, value: string): 'set' | 'no_space' | 'refused' {
  const bytes = Buffer.from(`${value}\0`);
  if (libc.fsetxattr(fd, ptr(cstring(name)), ptr(bytes), bytes.length - 1, 0) === 0) return 'set';
  const location = libc.__errno_location();
  const code = location === null ? 0 : read.i32(location);
  return code === errno.ENOSPC || code === errno.EDQUOT ? 'no_space' : 'refused';
}
