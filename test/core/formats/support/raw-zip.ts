import { crc32, deflateRawSync } from 'node:zlib';

/** An entry as it is to be written, right or wrong. */
export interface RawEntry {
  name: string | Uint8Array;
  localName?: string;
  body?: string;
  compressed?: Uint8Array;
  sizeBytes?: number;
  crc?: number;
  /** 0 stored, 8 deflated. */
  method?: number;
  flags?: number;
  /** Unix mode with its type. */
  mode?: number;
  offset?: number;
}

const u16 = (...values: number[]): Buffer => Buffer.from(Uint16Array.from(values).buffer);
const u32 = (...values: number[]): Buffer => Buffer.from(Uint32Array.from(values).buffer);
const u64 = (...values: number[]): Buffer => Buffer.from(BigUint64Array.from(values.map(BigInt)).buffer);

/** A zip of just these entries, for what no honest program writes. */
export function rawZip(entries: RawEntry[], options: { comment?: string; zip64?: boolean } = {}): Buffer {
  const { comment = '', zip64 = false } = options;
  const local: Buffer[] = [];
  const central: Buffer[] = [];
  let offset = 0;
  for (const entry of entries) {
    const { body = '', method = 8, flags = 0, mode = 0 } = entry;
    const name = Buffer.from(entry.name);
    const localName = Buffer.from(entry.localName ?? entry.name);
    const compressed = entry.compressed ?? (method === 8 ? deflateRawSync(body) : Buffer.from(body));
    const crc = entry.crc ?? crc32(body);
    const sizeBytes = entry.sizeBytes ?? Buffer.byteLength(body);
    const at = entry.offset ?? offset;
    const shared = Buffer.concat([u16(20, flags, method, 0, 0x21), u32(crc)]);
    const piece = Buffer.concat([
      u32(0x04034b50),
      shared,
      u32(compressed.length, sizeBytes),
      u16(localName.length, 0),
      localName,
      compressed,
    ]);
    const extra = zip64 ? Buffer.concat([u16(1, 24), u64(sizeBytes, compressed.length, at)]) : Buffer.alloc(0);
    const most = 0xffff_ffff;
    central.push(
      u32(0x02014b50),
      u16(0x0314),
      shared,
      zip64 ? u32(most, most) : u32(compressed.length, sizeBytes),
      u16(name.length, extra.length, 0, 0, 0),
      u32(mode * 0x10000, zip64 ? most : at),
      name,
      extra,
    );
    local.push(piece);
    offset += piece.length;
  }
  const directory = Buffer.concat(central);
  const end64 = offset + directory.length;
  return Buffer.concat([
    ...local,
    directory,
    ...(zip64
      ? [
          u32(0x06064b50),
          u64(44),
          u16(45, 45),
          u32(0, 0),
          u64(entries.length, entries.length, directory.length, offset),
          u32(0x07064b50, 0),
          u64(end64),
          u32(1),
        ]
      : []),
    u32(0x06054b50),
    zip64 ? u16(0, 0, 0xffff, 0xffff) : u16(0, 0, entries.length, entries.length),
    zip64 ? u32(0xffff_ffff, 0xffff_ffff) : u32(directory.length, offset),
    u16(comment.length),
    Buffer.from(comment),
  ]);
}
