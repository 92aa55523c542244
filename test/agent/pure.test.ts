import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { OutputRing } from '../../runner/agent/inside/ring.ts';
import { decodeHeader, decodePax, encodeEntry } from '../../runner/agent/inside/files/tar-format.ts';
import { FrameReader, encodeFrame } from '../../runner/protocol/agent.ts';
import { limits } from '../../runner/protocol/limits.ts';

test('frames come out as they went in, however the stream is cut', () => {
  const frames = fc.array(fc.record({ kind: fc.nat(255), payload: fc.uint8Array({ maxLength: 300 }) }), {
    maxLength: 20,
  });
  fc.assert(
    fc.property(frames, fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1 }), (sent, cuts) => {
      const stream = Buffer.concat(sent.map(({ kind, payload }) => encodeFrame(kind, payload)));
      const reader = new FrameReader(() => 300);
      const got: { kind: number; payload: Uint8Array }[] = [];
      let cut = 0;
      for (let at = 0; at < stream.length;) {
        const bytes = cuts[cut++ % cuts.length] ?? 1;
        for (const { kind, payload } of reader.push(stream.subarray(at, at + bytes)))
          got.push({ kind, payload: Uint8Array.from(payload) });
        at += bytes;
      }
      expect(got).toEqual(sent.map(({ kind, payload }) => ({ kind, payload: Uint8Array.from(payload) })));
    }),
  );
});

test('a frame that comes byte by byte holds no more memory than one that comes whole', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const heldBytes = (): number => {
    collect();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const reader = new FrameReader(() => 1 << 20);
  const frame = encodeFrame(1, new Uint8Array(1 << 20));
  const before = heldBytes();
  for (let at = 0; at < frame.length - 1; at += 1)
    for (const early of reader.push(frame.slice(at, at + 1))) throw new Error(`a frame of kind ${early.kind}`);
  expect(heldBytes() - before).toBeLessThan(16 << 20);
  expect([...reader.push(frame.slice(-1))]).toHaveLength(1);
});

test('the ring holds exactly the newest bytes, each with its descriptor and offset', () => {
  const chunk = fc.record({
    fd: fc.constantFrom(1 as const, 2 as const),
    bytes: fc.integer({ min: 0, max: 400_000 }),
    fill: fc.nat(255),
  });
  fc.assert(
    fc.property(fc.array(chunk, { maxLength: 12 }), (chunks) => {
      const ring = new OutputRing();
      const all: { fd: number; value: Buffer }[] = [];
      for (const { fd, bytes, fill } of chunks) {
        const value = Buffer.alloc(bytes, fill);
        ring.append(fd, value);
        all.push({ fd, value });
      }
      const stream = Buffer.concat(all.map(({ value }) => value));
      const fds = Buffer.concat(all.map(({ fd, value }) => Buffer.alloc(value.length, fd)));
      expect(ring.end).toBe(stream.length);
      expect(ring.start).toBe(Math.max(0, stream.length - limits.ringBytes));
      for (let at = ring.start; at < ring.end;) {
        const run = ring.runAt(at);
        if (run === undefined) throw new Error(`no run at ${at}`);
        const copy = new Uint8Array(run.bytes);
        ring.copyTo(copy, at);
        expect(Buffer.compare(copy, stream.subarray(at, at + run.bytes))).toBe(0);
        expect(Buffer.alloc(run.bytes, run.fd).equals(fds.subarray(at, at + run.bytes))).toBe(true);
        at += run.bytes;
      }
    }),
    { numRuns: 60 },
  );
});

test('many single bytes of alternating descriptors stay bounded', () => {
  const ring = new OutputRing();
  for (let at = 0; at < 100_000; at += 1) ring.append(at % 2 === 0 ? 1 : 2, Uint8Array.of(at));
  expect(ring.end - ring.start).toBeLessThanOrEqual(16 * 1024);
  expect(ring.runAt(99_999)).toEqual({ fd: 2, offset: 99_999, bytes: 1 });
});

test('a tar header says the same when it is read again', () => {
  const name = fc.string({ minLength: 1, maxLength: 300, unit: 'grapheme' }).filter((text) => !/[\0\n]/.test(text));
  fc.assert(
    fc.property(name, fc.nat(0o7777), fc.integer({ min: 0, max: 2 ** 45 }), (path, mode, sizeBytes) => {
      const bytes = encodeEntry({
        path: Buffer.from(path),
        type: 'file',
        mode,
        sizeBytes,
        modifiedAtSeconds: 12,
        linkPath: new Uint8Array(),
      });
      const first = decodeHeader(bytes.subarray(0, 512));
      const pax =
        first?.typeflag === 'x' ? decodePax(bytes.subarray(512, 512 + first.sizeBytes)) : new Map<string, string>();
      const header = decodeHeader(bytes.subarray(-512));
      expect(pax.get('path') ?? header?.name).toBe(path);
      expect(Number(pax.get('size') ?? header?.sizeBytes)).toBe(sizeBytes);
      expect(header).toMatchObject({ typeflag: '0', mode, modifiedAtSeconds: 12 });
    }),
  );
});
