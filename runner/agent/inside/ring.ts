import { limits } from '../../protocol/limits.ts';

export type OutputFd = 0 | 1 | 2;

/** A run of bytes of one descriptor, `offset` counted over all output of the process. */
export interface Run {
  fd: OutputFd;
  offset: number;
  bytes: number;
}

const firstBytes = 4096;
/** Single bytes that alternate between stdout and stderr would otherwise cost far more than their bytes. */
const runsMax = 16 * 1024;

/** The last ringBytes of a process's output. Grows on demand: most commands print little. */
export class OutputRing {
  #memory = new Uint8Array(0);
  /** Offset of the oldest byte held, and of the next one to come. */
  #start = 0;
  #end = 0;
  #runs: Run[] = [];
  /** Runs before this index have been overwritten: shifting an array for each would cost its length. */
  #firstRun = 0;

  get start(): number {
    return this.#start;
  }

  get end(): number {
    return this.#end;
  }

  get heldBytes(): number {
    return this.#memory.length;
  }

  append(fd: OutputFd, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (bytes.length > limits.ringBytes) {
      this.append(fd, bytes.subarray(0, limits.ringBytes));
      this.append(fd, bytes.subarray(limits.ringBytes));
      return;
    }
    this.#grow(this.#end - this.#start + bytes.length);
    const at = this.#end % this.#memory.length;
    const head = Math.min(bytes.length, this.#memory.length - at);
    this.#memory.set(bytes.subarray(0, head), at);
    this.#memory.set(bytes.subarray(head), 0);
    const last = this.#runs.at(-1);
    if (last !== undefined && last.fd === fd && this.#runs.length > this.#firstRun) last.bytes += bytes.length;
    else this.#runs.push({ fd, offset: this.#end, bytes: bytes.length });
    this.#end += bytes.length;
    this.#forget(Math.max(this.#start, this.#end - this.#memory.length));
  }

  /** The run that holds `offset` (≥ start, < end), from there on. */
  runAt(offset: number): Run | undefined {
    let low = this.#firstRun;
    let high = this.#runs.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#runs[middle]?.offset ?? Infinity) <= offset) low = middle;
      else high = middle - 1;
    }
    const run = this.#runs[low];
    if (run === undefined || offset < this.#start || offset >= this.#end) return undefined;
    return { fd: run.fd, offset, bytes: run.offset + run.bytes - offset };
  }

  copyTo(target: Uint8Array, offset: number): void {
    const at = offset % this.#memory.length;
    const head = Math.min(target.length, this.#memory.length - at);
    target.set(this.#memory.subarray(at, at + head));
    target.set(this.#memory.subarray(0, target.length - head), head);
  }

  #grow(needed: number): void {
    if (needed <= this.#memory.length || this.#memory.length === limits.ringBytes) return;
    let size = Math.max(firstBytes, this.#memory.length);
    while (size < needed && size < limits.ringBytes) size *= 2;
    const grown = new Uint8Array(size);
    // Bytes lie at offset modulo size, so they move when the size changes. Nothing was overwritten before the last growth.
    const held = this.#end - this.#start;
    if (held > 0) {
      const linear = new Uint8Array(held);
      this.copyTo(linear, this.#start);
      const at = this.#start % size;
      const head = Math.min(held, size - at);
      grown.set(linear.subarray(0, head), at);
      grown.set(linear.subarray(head), 0);
    }
    this.#memory = grown;
  }

  #forget(start: number): void {
    this.#start = start;
    while (this.#firstRun < this.#runs.length - 1) {
      const run = this.#runs[this.#firstRun];
      if (run === undefined) break;
      const over = this.#runs.length - this.#firstRun > runsMax;
      if (run.offset + run.bytes > this.#start && !over) break;
      this.#start = Math.max(this.#start, run.offset + run.bytes);
      this.#firstRun += 1;
    }
    if (this.#firstRun > runsMax) {
      this.#runs = this.#runs.slice(this.#firstRun);
      this.#firstRun = 0;
    }
  }
}
