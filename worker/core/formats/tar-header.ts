import { ServiceError } from '../errors.ts';

/**
 * ustar with pax extended headers (POSIX.1-2024, pax), and GNU's long names when reading. The agent in the sandbox writes
 * and reads the same (runner/agent/inside/files/tar-format.ts); it is another program, so nothing is shared.
 */
export const blockBytes = 512;

const nameBytesMax = 100;
const octalSizeMax = 0o77777777777;
const encoder = new TextEncoder();

export const invalidTar = (message: string): ServiceError =>
  new ServiceError('invalid_argument', `The archive ${message}.`);

export const paddingBytes = (contentBytes: number): number => (blockBytes - (contentBytes % blockBytes)) % blockBytes;

/** The header of a file, preceded by an extended one where its name or size does not fit. */
export function fileHeader(file: { path: string; sizeBytes: number; modifiedAtMs: number; mode: number }): Uint8Array {
  const name = encoder.encode(file.path);
  const plain = name.length <= nameBytesMax && /^[\x20-\x7e]*$/.test(file.path);
  const records: Uint8Array[] = [];
  if (!plain) records.push(paxRecord('path', name));
  if (file.sizeBytes > octalSizeMax) records.push(paxRecord('size', encoder.encode(String(file.sizeBytes))));
  const header = headerBlock({
    name,
    typeflag: '0',
    mode: file.mode,
    sizeBytes: file.sizeBytes,
    seconds: file.modifiedAtMs / 1000,
  });
  if (records.length === 0) return header;
  const sizeBytes = records.reduce((sum, record) => sum + record.length, 0);
  const extended = headerBlock({ name: encoder.encode('pax'), typeflag: 'x', mode: 0o644, sizeBytes, seconds: 0 });
  const out = new Uint8Array(blockBytes + sizeBytes + paddingBytes(sizeBytes) + blockBytes);
  out.set(extended);
  let at = blockBytes;
  for (const record of records) {
    out.set(record, at);
    at += record.length;
  }
  out.set(header, out.length - blockBytes);
  return out;
}

/** «length key=value\n», where the length counts itself. */
function paxRecord(key: string, value: Uint8Array): Uint8Array {
  const rest = key.length + value.length + 3;
  let length = rest;
  while (length !== rest + String(length).length) length = rest + String(length).length;
  const record = new Uint8Array(length);
  const head = encoder.encode(`${length} ${key}=`);
  record.set(head);
  record.set(value, head.length);
  record[length - 1] = 10;
  return record;
}

function headerBlock(header: {
  name: Uint8Array;
  typeflag: string;
  mode: number;
  sizeBytes: number;
  seconds: number;
}): Uint8Array {
  const block = new Uint8Array(blockBytes);
  const text = (value: string, at: number): void => block.set(encoder.encode(value), at);
  const octal = (value: number, at: number, bytes: number): void => {
    const most = 8 ** (bytes - 1) - 1;
    const held = Math.min(Math.max(0, Math.floor(value)), most);
    text(held.toString(8).padStart(bytes - 1, '0'), at);
  };
  block.set(header.name.subarray(0, nameBytesMax));
  octal(header.mode & 0o7777, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(header.sizeBytes, 124, 12);
  octal(header.seconds, 136, 12);
  text('        ', 148);
  text(header.typeflag, 156);
  text('ustar\u000000', 257);
  octal(sumOf(block), 148, 7);
  return block;
}

/** Of all bytes, the checksum's own taken as spaces. */
const sumOf = (block: Uint8Array): number =>
  block.reduce((sum, byte, at) => sum + (at >= 148 && at < 156 ? 32 : byte), 0);

/** What a header block says, before extended headers are applied. */
export interface RawHeader {
  name: Uint8Array;
  typeflag: string;
  sizeBytes: number;
  modifiedAtMs: number;
  /** GNU's old sparse format: more header blocks follow. */
  extended: boolean;
}

/** undefined: a block of zeros, two of which end an archive. Throws invalid_argument for what is no header. */
export function readHeaderBlock(block: Uint8Array): RawHeader | undefined {
  if (block.every((byte) => byte === 0)) return undefined;
  if (sumOf(block) !== numberIn(block, 148, 8)) throw invalidTar('has a header with a wrong checksum');
  const typeflag = String.fromCharCode(block[156] ?? 0);
  const name = fieldIn(block, 0, nameBytesMax);
  // GNU's own format, whose magic has a space here, keeps times where POSIX has the prefix.
  const ustar = asciiOf(block.subarray(257, 263)) === 'ustar\0';
  const prefix = ustar ? fieldIn(block, 345, 155) : name.subarray(0, 0);
  return {
    name: prefix.length === 0 ? name : joined(prefix, name),
    typeflag,
    sizeBytes: numberIn(block, 124, 12),
    modifiedAtMs: numberIn(block, 136, 12) * 1000,
    extended: typeflag === 'S' && block[482] === 1,
  };
}

function joined(prefix: Uint8Array, name: Uint8Array): Uint8Array {
  const out = new Uint8Array(prefix.length + 1 + name.length);
  out.set(prefix);
  out[prefix.length] = 47;
  out.set(name, prefix.length + 1);
  return out;
}

const asciiOf = (bytes: Uint8Array): string => String.fromCharCode(...bytes);

/** Up to its NUL. */
function fieldIn(block: Uint8Array, at: number, bytes: number): Uint8Array {
  return untilNul(block.subarray(at, at + bytes));
}

export function untilNul(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(0);
  return end < 0 ? bytes : bytes.subarray(0, end);
}

/** Octal, or GNU's base-256, whose negative numbers (times before 1970) are 0 here. */
function numberIn(block: Uint8Array, at: number, bytes: number): number {
  const first = block[at] ?? 0;
  if ((first & 0x80) !== 0) {
    if ((first & 0x40) !== 0) return 0;
    let value = first & 0x3f;
    for (const byte of block.subarray(at + 1, at + bytes)) value = value * 256 + byte;
    if (!Number.isSafeInteger(value)) throw invalidTar('has a header with a number that is too large');
    return value;
  }
  const digits = asciiOf(fieldIn(block, at, bytes)).trim();
  if (!/^[0-7]*$/.test(digits)) throw invalidTar('has a header with a damaged number');
  return digits === '' ? 0 : Number.parseInt(digits, 8);
}

/** An extended header's records. Values are bytes: a path need not be UTF-8. */
export function readPaxRecords(body: Uint8Array): Map<string, Uint8Array> {
  const records = new Map<string, Uint8Array>();
  for (let at = 0; at < body.length;) {
    const space = body.subarray(at, at + 12).indexOf(32);
    const digits = space < 0 ? '' : asciiOf(body.subarray(at, at + space));
    const end = at + Number(digits);
    const equals = body.indexOf(61, at);
    if (!/^[1-9][0-9]*$/.test(digits) || end > body.length || body[end - 1] !== 10 || equals < 0 || equals >= end) {
      throw invalidTar('has a damaged extended header');
    }
    records.set(asciiOf(body.subarray(at + space + 1, Math.min(equals, at + 100))), body.subarray(equals + 1, end - 1));
    at = end;
  }
  return records;
}
