import type { WriteResult } from '../../../protocol/files.ts';
import { limits } from '../../../protocol/limits.ts';
import { AgentFault } from '../fault.ts';
import { fileInfo } from './info.ts';
import type { ByteSink } from './sink.ts';
import type { RawHeader, TarEntry } from './tar-format.ts';
import { blockBytes, decodeHeader, decodePax, padded } from './tar-format.ts';
import { TarTarget } from './tar-target.ts';

/** Of one archive. */
const entriesMax = 200_000;
const contentBytesMax = 64 * 1024 * 1024 * 1024;
const extendedBytesMax = 1024 * 1024;

const invalid = (message: string): AgentFault => new AgentFault('invalid_argument', `The archive ${message}.`);

type State =
  | { reading: 'header' }
  | { reading: 'extended'; typeflag: string; parts: Uint8Array[]; left: number }
  | { reading: 'content'; left: number }
  | { reading: 'padding'; left: number }
  | { reading: 'nothing' };

/** Unpacks a tar as it arrives. */
export class TarUnpacker implements ByteSink {
  #state: State = { reading: 'header' };
  #block = new Uint8Array(blockBytes);
  #blockHeld = 0;
  #padding = 0;
  #entries = 0;
  #contentBytes = 0;
  /** From extended headers, for the next entry. */
  #overrides = new Map<string, string>();
  readonly #root: string;
  readonly #target: TarTarget;

  constructor(root: string) {
    this.#root = root;
    this.#target = new TarTarget(root);
  }

  write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) at += this.#take(bytes.subarray(at));
  }

  finish(): WriteResult {
    const { reading } = this.#state;
    if ((reading !== 'header' && reading !== 'nothing') || this.#blockHeld > 0)
      throw invalid('ends in the middle of an entry');
    this.#target.finish();
    return { entry: fileInfo(this.#root), writtenBytes: this.#contentBytes };
  }

  discard(): void {
    this.#target.discard();
  }

  /** How many of `bytes` it has used. */
  #take(bytes: Uint8Array): number {
    const state = this.#state;
    switch (state.reading) {
      case 'nothing':
        return bytes.length;
      case 'header': {
        const used = Math.min(bytes.length, blockBytes - this.#blockHeld);
        this.#block.set(bytes.subarray(0, used), this.#blockHeld);
        this.#blockHeld += used;
        if (this.#blockHeld === blockBytes) this.#header();
        return used;
      }
      case 'extended':
      case 'content':
      case 'padding': {
        const used = Math.min(bytes.length, state.left);
        state.left -= used;
        if (state.reading === 'content') this.#target.append(bytes.subarray(0, used));
        if (state.reading === 'extended') state.parts.push(bytes.slice(0, used));
        if (state.left === 0) this.#completed(state);
        return used;
      }
      default:
        return state satisfies never;
    }
  }

  #completed(state: State): void {
    if (state.reading === 'content') this.#target.closeFile();
    if (state.reading === 'extended') this.#extended(state.typeflag, Buffer.concat(state.parts));
    const pad = state.reading === 'padding' ? 0 : this.#padding;
    this.#state = pad > 0 ? { reading: 'padding', left: pad } : { reading: 'header' };
  }

  #header(): void {
    this.#blockHeld = 0;
    let header: RawHeader | undefined;
    try {
      header = decodeHeader(this.#block);
    } catch (error) {
      throw invalid(`has ${error instanceof Error ? error.message : 'a damaged header'}`);
    }
    if (header === undefined) {
      this.#state = { reading: 'nothing' };
      return;
    }
    if ('xgLK'.includes(header.typeflag)) {
      if (header.sizeBytes > extendedBytesMax) throw invalid('has an extended header of more than 1 MiB');
      this.#begin(
        { reading: 'extended', typeflag: header.typeflag, parts: [], left: header.sizeBytes },
        header.sizeBytes,
      );
      return;
    }
    this.#entry(this.#toEntry(header));
  }

  #entry(entry: TarEntry): void {
    this.#entries += 1;
    this.#contentBytes += entry.type === 'file' ? entry.sizeBytes : 0;
    if (this.#entries > entriesMax) throw invalid(`has more than ${entriesMax} entries`);
    if (this.#contentBytes > contentBytesMax) throw invalid('has more than 64 GiB of content');
    this.#overrides.clear();
    if (entry.type !== 'file') {
      this.#target.make(entry);
      return this.#begin({ reading: 'padding', left: padded(entry.sizeBytes) }, 0);
    }
    this.#target.openFile(entry);
    this.#begin({ reading: 'content', left: entry.sizeBytes }, entry.sizeBytes);
  }

  #begin(state: Extract<State, { left: number }>, contentBytes: number): void {
    this.#padding = padded(contentBytes) - contentBytes;
    this.#state = state;
    if (state.left === 0) this.#completed(state);
  }

  #extended(typeflag: string, body: Buffer): void {
    if (typeflag === 'g') return;
    if (typeflag === 'L') this.#overrides.set('path', body.toString().replace(/\0[^]*$/, ''));
    else if (typeflag === 'K') this.#overrides.set('linkpath', body.toString().replace(/\0[^]*$/, ''));
    else {
      try {
        for (const [key, value] of decodePax(body)) this.#overrides.set(key, value);
      } catch {
        throw invalid('has a damaged extended header');
      }
    }
  }

  #toEntry(header: RawHeader): TarEntry {
    const path = this.#overrides.get('path') ?? header.name;
    const sizeBytes = Number(this.#overrides.get('size') ?? header.sizeBytes);
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) throw invalid('has an entry of no sensible size');
    if (path.length > limits.pathBytes || path.includes('\0')) throw invalid('has an entry of no sensible name');
    const shown = path.slice(0, 200);
    const types: Record<string, TarEntry['type']> = {
      '0': 'file',
      '\0': path.endsWith('/') ? 'directory' : 'file',
      '7': 'file',
      '1': 'hardlink',
      '2': 'symlink',
      '5': 'directory',
    };
    const type = types[header.typeflag];
    if (type === undefined) throw invalid(`has an entry «${shown}» that is no file, directory or link`);
    return {
      path,
      type,
      mode: header.mode & 0o777,
      sizeBytes,
      modifiedAtSeconds: Number(this.#overrides.get('mtime') ?? header.modifiedAtSeconds),
      linkPath: this.#overrides.get('linkpath') ?? header.linkName,
    };
  }
}
