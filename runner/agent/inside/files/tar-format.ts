/** The ustar format with pax extended headers (POSIX.1-2024, pax), and GNU's long names when reading. */
export const blockBytes = 512;

export interface TarEntry {
  path: string;
  type: 'file' | 'directory' | 'symlink' | 'hardlink';
  mode: number;
  sizeBytes: number;
  modifiedAtSeconds: number;
  linkPath: string;
}

/** Names are bytes: the system's need not be UTF-8. */
export interface EntryToWrite extends Omit<TarEntry, 'type' | 'path' | 'linkPath'> {
  type: 'file' | 'directory' | 'symlink';
  path: Uint8Array;
  linkPath: Uint8Array;
}

/** What a header block says, before extended headers are applied. */
export interface RawHeader {
  name: string;
  typeflag: string;
  mode: number;
  sizeBytes: number;
  modifiedAtSeconds: number;
  linkName: string;
}

const nameBytes = 100;
const octalSizeMax = 0o77777777777;
const encoder = new TextEncoder();
const decoder = new TextDecoder();
const typeflags = { file: '0', hardlink: '1', symlink: '2', directory: '5' } as const;

/** The header of `entry`, preceded by an extended one where its names or size do not fit. */
export function encodeEntry(entry: EntryToWrite): Uint8Array {
  const records: Uint8Array[] = [];
  if (!fits(entry.path)) records.push(paxRecord('path', entry.path));
  if (!fits(entry.linkPath)) records.push(paxRecord('linkpath', entry.linkPath));
  if (entry.sizeBytes > octalSizeMax) records.push(paxRecord('size', encoder.encode(String(entry.sizeBytes))));
  const header = encodeHeader({ ...entry, typeflag: typeflags[entry.type] });
  if (records.length === 0) return header;
  const body = Buffer.concat(records);
  const extended = {
    path: encoder.encode('pax'),
    linkPath: new Uint8Array(),
    mode: 0o644,
    sizeBytes: body.length,
    modifiedAtSeconds: 0,
    typeflag: 'x',
  };
  const out = new Uint8Array(blockBytes + padded(body.length) + blockBytes);
  out.set(encodeHeader(extended));
  out.set(body, blockBytes);
  out.set(header, blockBytes + padded(body.length));
  return out;
}

export const padded = (bytes: number): number => Math.ceil(bytes / blockBytes) * blockBytes;

const fits = (name: Uint8Array): boolean =>
  name.length <= nameBytes && name.every((byte) => byte >= 0x20 && byte <= 0x7e);

/** «length key=value\n», where the length counts itself. */
function paxRecord(key: string, value: Uint8Array): Uint8Array {
  const rest = key.length + value.length + 3;
  let length = rest;
  while (length !== rest + String(length).length) length = rest + String(length).length;
  return Buffer.concat([encoder.encode(`${length} ${key}=`), value, encoder.encode('\n')]);
}

function encodeHeader(entry: Omit<EntryToWrite, 'type'> & { typeflag: string }): Uint8Array {
  const block = new Uint8Array(blockBytes);
  const text = (value: string, at: number, bytes: number): void =>
    block.set(encoder.encode(value).subarray(0, bytes), at);
  const octal = (value: number, at: number, bytes: number): void =>
    text(
      Math.max(0, Math.floor(value))
        .toString(8)
        .padStart(bytes - 1, '0'),
      at,
      bytes - 1,
    );
  block.set(entry.path.subarray(0, nameBytes));
  octal(entry.mode & 0o7777, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(Math.min(entry.sizeBytes, octalSizeMax), 124, 12);
  octal(entry.modifiedAtSeconds, 136, 12);
  text('        ', 148, 8);
  text(entry.typeflag, 156, 1);
  block.set(entry.linkPath.subarray(0, nameBytes), 157);
  text('ustar\u000000', 257, 8);
  octal(
    block.reduce((sum, byte) => sum + byte, 0),
    148,
    7,
  );
  return block;
}

/** undefined: a block of zeros, which ends an archive. Throws for what is no header. */
export function decodeHeader(block: Uint8Array): RawHeader | undefined {
  if (block.every((byte) => byte === 0)) return undefined;
  const unsigned = block.reduce((sum, byte, at) => sum + (at >= 148 && at < 156 ? 32 : byte), 0);
  if (unsigned !== number(block, 148, 8)) throw new Error('a header with a wrong checksum');
  const ustar = text(block, 257, 5) === 'ustar';
  // GNU's own format keeps times where POSIX has the prefix.
  const prefix = ustar && block[262] === 0 ? text(block, 345, 155) : '';
  const name = text(block, 0, nameBytes);
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    typeflag: String.fromCharCode(block[156] ?? 0),
    mode: number(block, 100, 8),
    sizeBytes: number(block, 124, 12),
    modifiedAtSeconds: number(block, 136, 12),
    linkName: text(block, 157, nameBytes),
  };
}

export function decodePax(body: Uint8Array): Map<string, string> {
  const records = new Map<string, string>();
  for (let at = 0; at < body.length;) {
    const space = body.indexOf(32, at);
    const length = Number(decoder.decode(body.subarray(at, space)));
    if (space < 0 || !Number.isInteger(length) || length < 5 || at + length > body.length) {
      throw new Error('a damaged extended header');
    }
    const record = decoder.decode(body.subarray(space + 1, at + length - 1));
    const equals = record.indexOf('=');
    records.set(record.slice(0, equals), record.slice(equals + 1));
    at += length;
  }
  return records;
}

function text(block: Uint8Array, at: number, bytes: number): string {
  const field = block.subarray(at, at + bytes);
  const end = field.indexOf(0);
  return decoder.decode(end < 0 ? field : field.subarray(0, end));
}

function number(block: Uint8Array, at: number, bytes: number): number {
  const first = block[at] ?? 0;
  if ((first & 0x80) !== 0) {
    let value = first & 0x7f;
    for (const byte of block.subarray(at + 1, at + bytes)) value = value * 256 + byte;
    if (!Number.isSafeInteger(value)) throw new Error('a number that is too large');
    return value;
  }
  const digits = text(block, at, bytes).trim();
  if (!/^[0-7]*$/.test(digits)) throw new Error('a damaged number');
  return digits === '' ? 0 : Number.parseInt(digits, 8);
}
