import { mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { listImages, memoryFacts, readImages, writeImages } from '../../runner/engine/memory-images.ts';

const never = new AbortController().signal;
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gbx-images-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
const collect = async (source: AsyncIterable<Uint8Array>): Promise<Buffer> => {
  const parts: Uint8Array[] = [];
  for await (const part of source) parts.push(part);
  return Buffer.concat(parts);
};

test('images come back as they were, each in its file, for root alone, however their bytes were cut on the way', async () => {
  const content = fc.dictionary(fc.stringMatching(/^[a-z][a-z0-9.-]{0,20}$/), fc.uint8Array({ maxLength: 2_000 }), {
    minKeys: 1,
    maxKeys: 6,
  });
  await fc.assert(
    fc.asyncProperty(content, fc.integer({ min: 1, max: 700 }), async (files, size) => {
      const [from, to] = [
        await mkdtemp(join(folder, 'from-')),
        join(await mkdtemp(join(folder, 'to-')), 'deep/images'),
      ];
      for (const [name, bytes] of Object.entries(files)) await writeFile(join(from, name), bytes);
      const images = await listImages(from);
      const bytes = await collect(readImages(from, images));
      await writeImages(to, { images, bytes: inPieces(bytes, size) }, never);
      expect(await listImages(to)).toEqual(images);
      expect(await collect(readImages(to, images))).toEqual(bytes);
      expect((await stat(to)).mode & 0o777).toBe(0o700);
    }),
    { numRuns: 30 },
  );
});

test.each([
  ['too few', 9],
  ['too many', 11],
])('with %s bytes they are refused', async (_what, length) => {
  const images = [
    { name: 'a.img', sizeBytes: 4 },
    { name: 'b.img', sizeBytes: 6 },
  ];
  const writing = writeImages(join(folder, 'images'), { images, bytes: inPieces(new Uint8Array(length), 3) }, never);
  await expect(writing).rejects.toThrow('the memory');
});

test('what is no flat folder of files is no checkpoint', async () => {
  await mkdir(join(folder, 'one/sub'), { recursive: true });
  await expect(listImages(join(folder, 'one'))).rejects.toThrow('no file: sub');
  await mkdir(join(folder, 'two'));
  await symlink('/etc/shadow', join(folder, 'two/core-1.img'));
  await expect(listImages(join(folder, 'two'))).rejects.toThrow('no file: core-1.img');
  await mkdir(join(folder, 'empty'));
  await expect(listImages(join(folder, 'empty'))).rejects.toThrow(/too_small|at least|>=1/);
});

test.each(['../a', 'a/b', '.hidden', '', 'x'.repeat(200), 'a\0b'])('an image is not named %j', (name) => {
  const facts = {
    hostname: '0'.repeat(12),
    network: 'off',
    confinement: '0',
    processor: 'x64',
    images: [{ name, sizeBytes: 1 }],
  };
  expect(memoryFacts.safeParse(facts).success).toBe(false);
});

test('images that are more than any sandbox has are refused before they are written', async () => {
  const sizeBytes = 3 * 1024 ** 3;
  const images = ['a', 'b'].map((name) => ({ name, sizeBytes }));
  const facts = { hostname: '0'.repeat(12), network: 'off', confinement: '0', processor: 'x64', images };
  expect(memoryFacts.safeParse(facts).success).toBe(false);
  expect(memoryFacts.safeParse({ ...facts, images: images.slice(1) }).success).toBe(true);
  expect(await readdir(folder)).toEqual([]);
});
