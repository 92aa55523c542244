import { RunnerError } from '../protocol/errors.ts';

/**
 * Looks at a layer's tar as it passes, when it is taken and again before it is unpacked as root on a node: no more bytes and entries than a
 * sandbox may have, and nothing but what a walk of a container's layer gives. Whoever made it, no name in it leads out of its directory.
 */
export interface LayerLimits {
  bytes: number;
  entries: number;
}

const blockBytes = 512;
/** Names, link targets and extended attributes of one entry. The kernel's own bounds are lower. */
const extendedHeaderMaxBytes = 1024 * 1024;
/** Two are a tar's end, which is filled up to a record of layer.ts's. */
const zeroBlocksMax = 129;

const typeFile = '0';
const typeLink = '1';
const typeSymlink = '2';
const typeCharacterDevice = '3';
const typeDirectory = '5';
const typePipe = '6';
const typeExtended = 'x';
const plainTypes: readonly string[] = [typeFile, typeLink, typeSymlink, typeCharacterDevice, typeDirectory, typePipe];

export class LayerGuard {
  readonly #limits: LayerLimits;
  #bytes = 0;
  #entries = 0;
  /** A header, or an extended header's content, as far as it has come. */
  #collected: Buffer[] = [];
  #collectedBytes = 0;
  #wantedBytes = blockBytes;
  #collecting: 'header' | 'extended' = 'header';
  /** Of the content under way, its padding included. */
  #skipBytes = 0;
  #extended: Record<string, string> = {};
  #extendedBytes = 0;
  #zeroBlocks = 0;

  constructor(limits: LayerLimits) {
    this.#limits = limits;
  }

  /** Of all that has passed. */
  get bytes(): number {
    return this.#bytes;
  }

  async *watch(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of source) {
      this.#take(chunk);
      yield chunk;
    }
    if (this.#zeroBlocks < 2) throw malformed('it ends too soon');
  }

  #take(chunk: Uint8Array): void {
    this.#bytes += chunk.length;
    if (this.#bytes > this.#limits.bytes) throw tooLarge(this.#limits);
    for (let at = 0; at < chunk.length;) {
      if (this.#skipBytes > 0) {
        const skipped = Math.min(this.#skipBytes, chunk.length - at);
        this.#skipBytes -= skipped;
        at += skipped;
        continue;
      }
      const part = chunk.subarray(at, at + this.#wantedBytes - this.#collectedBytes);
      this.#collected.push(Buffer.from(part));
      this.#collectedBytes += part.length;
      at += part.length;
      if (this.#collectedBytes === this.#wantedBytes) this.#collectedAll();
    }
  }

  #collectedAll(): void {
    const whole = Buffer.concat(this.#collected);
    this.#collected = [];
    this.#collectedBytes = 0;
    this.#wantedBytes = blockBytes;
    if (this.#collecting === 'header') return this.#header(whole);
    this.#extended = parseRecords(whole.subarray(0, this.#extendedBytes));
    this.#collecting = 'header';
  }

  #header(header: Buffer): void {
    if (header.every((byte) => byte === 0)) {
      if (++this.#zeroBlocks > zeroBlocksMax) throw malformed('its end does not end');
      return;
    }
    if (this.#zeroBlocks > 0) throw malformed('something comes after its end');
    const type = header.toString('latin1', 156, 157);
    if (type === typeExtended) return this.#beginExtended(readNumber(header, 124, 12));
    if (!plainTypes.includes(type)) throw malformed(`an entry has the type ${JSON.stringify(type)}`);
    if (++this.#entries > this.#limits.entries) throw tooLarge(this.#limits);
    const extended = this.#extended;
    this.#extended = {};
    checkName(extended['GNU.sparse.name'] ?? extended['path'] ?? ustarName(header));
    if (extended['path'] !== undefined) checkName(extended['path']);
    if (type === typeLink) checkName(extended['linkpath'] ?? text(header, 157, 100));
    // Overlay's mark of what was deleted; no other device can come from a sandbox.
    if (type === typeCharacterDevice && readNumber(header, 329, 8) + readNumber(header, 337, 8) !== 0) {
      throw malformed('it has a device');
    }
    const sizeBytes = type === typeFile ? sizeOf(extended, header) : 0;
    this.#skipBytes = padded(sizeBytes);
  }

  #beginExtended(sizeBytes: number): void {
    if (sizeBytes > extendedHeaderMaxBytes) throw malformed('an extended header is too large');
    this.#extendedBytes = sizeBytes;
    this.#collecting = 'extended';
    this.#wantedBytes = padded(sizeBytes);
    if (this.#wantedBytes === 0) this.#collectedAll();
  }
}

const padded = (bytes: number): number => Math.ceil(bytes / blockBytes) * blockBytes;

function sizeOf(extended: Record<string, string>, header: Buffer): number {
  const size = extended['size'] === undefined ? readNumber(header, 124, 12) : Number(extended['size']);
  if (!Number.isSafeInteger(size) || size < 0) throw malformed('a size is no number');
  return size;
}

function ustarName(header: Buffer): string {
  const prefix = text(header, 345, 155);
  return `${prefix === '' ? '' : `${prefix}/`}${text(header, 0, 100)}`;
}

function text(header: Buffer, at: number, length: number): string {
  return header.toString('latin1', at, at + length).replace(/\0.*$/s, '');
}

/** Octal digits; GNU tar writes what they can't hold in an extended header. */
function readNumber(header: Buffer, at: number, length: number): number {
  const digits = text(header, at, length).trim();
  if (!/^[0-7]*$/.test(digits)) throw malformed('a header’s number is not octal');
  return digits === '' ? 0 : Number.parseInt(digits, 8);
}

/** `<length> <key>=<value>\n`, again and again (pax). Of bytes, since names need not be text. */
function parseRecords(content: Buffer): Record<string, string> {
  const records: Record<string, string> = {};
  for (let at = 0; at < content.length;) {
    const space = content.indexOf(0x20, at);
    const length = Number(content.toString('latin1', at, space));
    if (space < 0 || !Number.isSafeInteger(length) || length <= space - at || at + length > content.length) {
      throw malformed('an extended header is not well formed');
    }
    const record = content.toString('latin1', space + 1, at + length - 1);
    const equals = record.indexOf('=');
    if (equals < 1) throw malformed('an extended header is not well formed');
    records[record.slice(0, equals)] = record.slice(equals + 1);
    at += length;
  }
  return records;
}

function checkName(name: string): void {
  if (name.startsWith('/') || name.includes('\0') || name.split('/').includes('..')) {
    throw malformed('a name leads out of it');
  }
}

const malformed = (what: string): RunnerError =>
  new RunnerError('snapshot_corrupt', 'The snapshot is not one that this node can unpack.', { cause: new Error(what) });

const tooLarge = ({ bytes, entries }: LayerLimits): RunnerError =>
  new RunnerError(
    'snapshot_too_large',
    `A sandbox’s changes have at most ${bytes} bytes in ${entries} files here; delete some first.`,
  );
