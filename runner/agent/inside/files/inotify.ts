import { closeSync } from 'node:fs';
import { AgentFault } from '../fault.ts';
import { inotifyAdd, inotifyOpen, inotifyRemove, memoryFile } from '../libc.ts';

/** inotify(7). */
export const inotifyMask = {
  modify: 0x2,
  attributes: 0x4,
  movedFrom: 0x40,
  movedTo: 0x80,
  create: 0x100,
  remove: 0x200,
  overflow: 0x4000,
  ignored: 0x8000,
  onlyDirectory: 0x01000000,
  dontFollow: 0x02000000,
  isDirectory: 0x40000000,
} as const;
const wanted =
  inotifyMask.modify |
  inotifyMask.attributes |
  inotifyMask.movedFrom |
  inotifyMask.movedTo |
  inotifyMask.create |
  inotifyMask.remove;
const eventHeaderBytes = 16;
/** The kernel's default for a user is 65,536 or more, which all sandboxes of a node share. */
const directoriesMax = 8192;

/** How long an event may be on its way from the kernel to us. */
const deliveryMs = 1_000;

export interface InotifyEvent {
  mask: number;
  /** The same for both halves of a rename. */
  cookie: number;
  name: string;
}
type Listener = (event: InotifyEvent) => void;

/**
 * One inotify instance for all watches of the sandbox (the kernel counts instances per uid of the node), open only while there
 * are any. Several listeners may share a directory's descriptor.
 */
export class Inotify {
  #fd: number | undefined;
  #reader: { cancel(): Promise<void> } | undefined;
  readonly #listeners = new Map<number, Set<Listener>>();
  readonly #onOverflow: () => void;
  /** By the descriptor whose end they wait for. */
  readonly #waiting = new Map<number, () => void>();

  constructor(onOverflow: () => void) {
    this.#onOverflow = onOverflow;
  }

  /** With the identity of the watcher: the kernel wants it to be able to read the directory. undefined: it cannot be watched. */
  add(directory: string, listener: Listener): number | undefined {
    if (this.#listeners.size >= directoriesMax) return undefined;
    const fd = this.#open();
    const descriptor = inotifyAdd(fd, directory, wanted | inotifyMask.onlyDirectory);
    if (descriptor < 0) return undefined;
    const listeners = this.#listeners.get(descriptor) ?? new Set();
    listeners.add(listener);
    this.#listeners.set(descriptor, listeners);
    return descriptor;
  }

  remove(descriptor: number, listener: Listener): void {
    const listeners = this.#listeners.get(descriptor);
    listeners?.delete(listener);
    if (listeners?.size === 0) {
      this.#listeners.delete(descriptor);
      if (this.#fd !== undefined) inotifyRemove(this.#fd, descriptor);
    }
    this.closeIfUnused();
  }

  /** Resolves when all that has happened until now was told: the kernel's queue is in order, and a watch's end is an event in it. */
  async caughtUp(): Promise<void> {
    const fd = this.#fd;
    if (fd === undefined) return;
    const nobodysFile = memoryFile('marker');
    const descriptor = inotifyAdd(fd, `/proc/self/fd/${nobodysFile}`, inotifyMask.modify);
    closeSync(nobodysFile);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, deliveryMs);
      this.#waiting.set(descriptor, () => {
        clearTimeout(timer);
        resolve();
      });
      inotifyRemove(fd, descriptor);
    });
    this.#waiting.delete(descriptor);
  }

  closeIfUnused(): void {
    if (this.#listeners.size > 0) return;
    // The stream reads a duplicate of its own.
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
    void this.#reader?.cancel().catch(() => undefined);
    this.#reader = undefined;
  }

  #open(): number {
    if (this.#fd !== undefined) return this.#fd;
    const fd = inotifyOpen();
    if (fd < 0) throw new AgentFault('too_many_watches', 'The node cannot watch more directories at the moment.');
    this.#fd = fd;
    void this.#read(fd);
    return fd;
  }

  async #read(fd: number): Promise<void> {
    const reader = Bun.file(fd).stream().getReader();
    this.#reader = reader;
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done || this.#reader !== reader) return;
        this.#dispatch(value);
      }
    } catch (error) {
      console.error('inotify', error);
    }
  }

  #dispatch(bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let at = 0; at + eventHeaderBytes <= bytes.length;) {
      const descriptor = view.getInt32(at, true);
      const mask = view.getUint32(at + 4, true);
      const cookie = view.getUint32(at + 8, true);
      const nameBytes = view.getUint32(at + 12, true);
      const name = Buffer.from(bytes.subarray(at + eventHeaderBytes, at + eventHeaderBytes + nameBytes));
      at += eventHeaderBytes + nameBytes;
      if ((mask & inotifyMask.overflow) !== 0) this.#onOverflow();
      const end = name.indexOf(0);
      const event = { mask, cookie, name: (end < 0 ? name : name.subarray(0, end)).toString() };
      for (const listener of this.#listeners.get(descriptor) ?? []) listener(event);
      if ((mask & inotifyMask.ignored) === 0) continue;
      this.#listeners.delete(descriptor);
      this.#waiting.get(descriptor)?.();
    }
  }
}
