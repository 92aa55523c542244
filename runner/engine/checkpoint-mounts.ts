import { readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * CRIU's list of a container's mounts, as it lies among a checkpoint's images: two words of magic, then entries of a length and a protobuf
 * message each (`mnt_entry`; its numbers are fixed by CRIU's own compatibility).
 */
const listName = /^mountpoints-\d+\.img$/;
const magicBytes = 8;
const magics = [0x54564319, 0x55563928] as const;
const listBytesMax = 4 * 1024 * 1024;
/** By which name whoever restores is asked for what is to be mounted there. */
const externalKeyField = 18;
const wireVarint = 0;
const wireBytes = 2;
const nodeDevice = '/dev/null';
/** gVisor's state of a container, which has no devices of the node's in it. */
const gvisorImage = 'checkpoint.img';

/**
 * runc tells CRIU that the masks over a container's paths come from the node, and has them restored with the node's own /dev/null: root in
 * the sandbox could then change its mode and owner, for the whole node. They are the container's own device; without that word CRIU makes
 * them of it again.
 */
export async function keepOwnMasks(folder: string): Promise<void> {
  const names = await readdir(folder);
  const lists = names.filter((name) => listName.test(name));
  if (lists.length === 0 && names.includes(gvisorImage)) return;
  if (lists.length === 0) throw new Error('the checkpoint has no list of mounts');
  for (const name of lists) {
    const path = join(folder, name);
    const { size } = await stat(path);
    if (size > listBytesMax) throw new Error(`the checkpoint’s list of mounts has ${size} bytes`);
    await writeFile(`${path}.own`, withoutNodeDevice(await readFile(path)), { mode: 0o600 });
    await rename(`${path}.own`, path);
  }
}

/** Throws for anything but a list that is well formed. */
export function withoutNodeDevice(list: Buffer): Buffer {
  if (list.length < magicBytes || magics.some((magic, at) => list.readUInt32LE(at * 4) !== magic)) {
    throw malformed('it does not begin as one');
  }
  const kept: Buffer[] = [list.subarray(0, magicBytes)];
  for (let at = magicBytes; at < list.length;) {
    if (at + 4 > list.length) throw malformed('it ends within a length');
    const end = at + 4 + list.readUInt32LE(at);
    if (end > list.length) throw malformed('it ends within an entry');
    const entry = Buffer.concat(
      fieldsOf(list.subarray(at + 4, end))
        .filter((field) => !namesNodeDevice(field))
        .map(({ whole }) => whole),
    );
    const length = Buffer.alloc(4);
    length.writeUInt32LE(entry.length);
    kept.push(length, entry);
    at = end;
  }
  return Buffer.concat(kept);
}

interface Field {
  number: number;
  /** With its tag. */
  whole: Buffer;
  /** Of what has a length. */
  content: Buffer | undefined;
}

const namesNodeDevice = ({ number, content }: Field): boolean =>
  number === externalKeyField && content?.toString('latin1') === nodeDevice;

function fieldsOf(message: Buffer): Field[] {
  const fields: Field[] = [];
  for (let at = 0; at < message.length;) {
    const tag = readVarint(message, at);
    const value = readVarint(message, tag.end);
    const wire = tag.value % 8;
    if (wire !== wireVarint && wire !== wireBytes) throw malformed(`a field has the wire type ${wire}`);
    const end = wire === wireBytes ? value.end + value.value : value.end;
    if (end > message.length) throw malformed('an entry ends within a field');
    const content = wire === wireBytes ? message.subarray(value.end, end) : undefined;
    fields.push({ number: Math.floor(tag.value / 8), whole: message.subarray(at, end), content });
    at = end;
  }
  return fields;
}

/** Exact up to 2^53; what is larger is no length here, and only passed on. */
function readVarint(bytes: Buffer, from: number): { value: number; end: number } {
  let value = 0;
  for (let at = from; at < bytes.length && at < from + 10; at++) {
    const byte = bytes.readUInt8(at);
    value += (byte & 0x7f) * 128 ** (at - from);
    if (byte < 0x80) return { value, end: at + 1 };
  }
  throw malformed('a number does not end');
}

const malformed = (what: string): Error => new Error(`the checkpoint’s list of mounts is not readable: ${what}`);
