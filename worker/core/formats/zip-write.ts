import type { ByteInput } from './byte-source.ts';
import { chunksOf, gathered, streamOf } from './byte-source.ts';
import { crc32 } from './crc32.ts';
import { deflated } from './deflate.ts';

export interface FileToZip {
  /** Relative, without a slash at its end. */
  path: string;
  modifiedAtMs: number;
  body: ByteInput;
}

/** What the format has without zip64. */
const fourBytesMax = 0xffff_ffff;
const entriesMax = 0xffff;

interface Written {
  path: Uint8Array;
  modifiedAtMs: number;
  crc: number;
  compressedBytes: number;
  sizeBytes: number;
  offset: number;
}

/**
 * A zip of files, deflated and made as it is read. Sizes follow each file's bytes, as they are not known before. It fails,
 * and never just ends, when a body does, and when it would take zip64 (4 GiB, 65,535 files).
 */
export const packZip = (files: AsyncIterable<FileToZip> | Iterable<FileToZip>): ReadableStream<Uint8Array> =>
  streamOf(gathered(archiveOf(files)));

async function* archiveOf(files: AsyncIterable<FileToZip> | Iterable<FileToZip>): AsyncGenerator<Uint8Array, void> {
  const written: Written[] = [];
  let offset = 0;
  const passed = (bytes: Uint8Array): Uint8Array => {
    offset += bytes.length;
    if (offset > fourBytesMax) throw new Error('a zip of more than 4 GiB');
    return bytes;
  };
  for await (const { path, modifiedAtMs, body } of files) {
    if (written.length === entriesMax) throw new Error(`a zip of more than ${entriesMax} files`);
    const file = {
      path: new TextEncoder().encode(path),
      modifiedAtMs,
      crc: 0,
      compressedBytes: 0,
      sizeBytes: 0,
      offset,
    };
    yield passed(localHeader(file));
    for await (const chunk of deflated(counted(body, file))) {
      file.compressedBytes += chunk.length;
      yield passed(chunk);
    }
    yield passed(descriptor(file));
    written.push(file);
  }
  const directoryOffset = offset;
  for (const file of written) yield passed(directoryEntry(file));
  yield record(22)
    .u32(0x06054b50)
    .u32(0)
    .u16(written.length)
    .u16(written.length)
    .u32(offset - directoryOffset)
    .u32(directoryOffset)
    .u16(0).bytes;
}

async function* counted(body: ByteInput, file: Written): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of chunksOf(body)) {
    file.crc = crc32(chunk, file.crc);
    file.sizeBytes += chunk.length;
    if (file.sizeBytes > fourBytesMax) throw new Error('a file of more than 4 GiB in a zip');
    yield chunk;
  }
}

/** Bit 3: sizes and checksum follow the bytes. Bit 11: names are UTF-8. */
const flags = 0x0808;
const versionNeeded = 20;
const deflateMethod = 8;
/** Extended timestamp, which unlike the field of DOS has a zone: tag, length, 1 (a modification time follows), seconds. */
const timestampBytes = 9;

function localHeader(file: Written): Uint8Array {
  return shared(record(30 + file.path.length + timestampBytes).u32(0x04034b50), file)
    .u32(0)
    .u32(0)
    .u32(0)
    .u16(file.path.length)
    .u16(timestampBytes)
    .raw(file.path)
    .raw(timestamp(file)).bytes;
}

function descriptor(file: Written): Uint8Array {
  return record(16).u32(0x08074b50).u32(file.crc).u32(file.compressedBytes).u32(file.sizeBytes).bytes;
}

function directoryEntry(file: Written): Uint8Array {
  const madeByUnix = (3 << 8) | versionNeeded;
  return shared(
    record(46 + file.path.length + timestampBytes)
      .u32(0x02014b50)
      .u16(madeByUnix),
    file,
  )
    .u32(file.crc)
    .u32(file.compressedBytes)
    .u32(file.sizeBytes)
    .u16(file.path.length)
    .u16(timestampBytes)
    .u16(0)
    .u16(0)
    .u16(0)
    .u32(0o100644 * 0x10000)
    .u32(file.offset)
    .raw(file.path)
    .raw(timestamp(file)).bytes;
}

function shared(start: RecordWriter, file: Written): RecordWriter {
  // The format's years are 1980 to 2107, and its seconds even.
  const at = new Date(Math.min(Math.max(file.modifiedAtMs, Date.UTC(1980, 0, 1)), Date.UTC(2107, 11, 31)));
  const time = (at.getUTCHours() << 11) | (at.getUTCMinutes() << 5) | (at.getUTCSeconds() >> 1);
  const date = ((at.getUTCFullYear() - 1980) << 9) | ((at.getUTCMonth() + 1) << 5) | at.getUTCDate();
  return start.u16(versionNeeded).u16(flags).u16(deflateMethod).u16(time).u16(date);
}

function timestamp(file: Written): Uint8Array {
  const seconds = Math.min(Math.max(Math.floor(file.modifiedAtMs / 1000), 0), 0x7fff_ffff);
  return record(timestampBytes).u16(0x5455).u16(5).raw(Uint8Array.of(1)).u32(seconds).bytes;
}

interface RecordWriter {
  bytes: Uint8Array;
  u16(value: number): RecordWriter;
  u32(value: number): RecordWriter;
  raw(value: Uint8Array): RecordWriter;
}

/** Little-endian fields, one after another. */
function record(bytes: number): RecordWriter {
  const view = new DataView(new ArrayBuffer(bytes));
  let at = 0;
  const writer: RecordWriter = {
    bytes: new Uint8Array(view.buffer),
    u16(value) {
      view.setUint16(at, value, true);
      at += 2;
      return writer;
    },
    u32(value) {
      view.setUint32(at, value, true);
      at += 4;
      return writer;
    },
    raw(value) {
      writer.bytes.set(value, at);
      at += value.length;
      return writer;
    },
  };
  return writer;
}
