import { blobKey } from '../artifacts/blob-key.ts';
import type { StagedBlob } from '../artifacts/stage-bytes.ts';
import { ServiceError } from '../errors.ts';
import { openZip, zipBounds, type ZipEntry } from '../formats/zip-read.ts';
import type { RandomAccess } from '../formats/zip-directory.ts';
import type { Context } from '../ports.ts';
import { frontMatterBounds, readFrontMatter } from './front-matter.ts';

export interface PackedFile {
  /** Relative to the directory that SKILL.md lies in. */
  path: string;
  sizeBytes: number;
  body: () => ReadableStream<Uint8Array>;
}

export interface PackedSkill {
  name: string;
  description: string;
  files: PackedFile[];
}

/** Of SKILL.md: more than its front matter may have. */
const headBytes = 2 * frontMatterBounds.yamlBytesMax;

/** What a staged zip holds. Throws invalid_argument, payload_too_large. */
export const readSkill = async (ctx: Context, zip: StagedBlob): Promise<PackedSkill> => {
  const { entries } = await openZip(windowOver(ctx, zip), zipBounds);
  const files = entries.filter(({ path, isDirectory }) => !isDirectory && !isLitter(path));
  const link = files.find(({ isSymlink }) => isSymlink);
  if (link) throw notASkill(`has a symlink, ${link.path.slice(0, 1024)}`);
  const manifest = manifestOf(files);
  const top = manifest.path.slice(0, -manifestName.length);
  const { name, description } = readFrontMatter(await headOf(manifest));
  return {
    name,
    description,
    files: files.map((file) => ({
      path: file.path.slice(top.length),
      sizeBytes: file.sizeBytes,
      body: () => file.body(),
    })),
  };
};

/** What the file managers of macOS and Windows leave in archives. */
const isLitter = (path: string): boolean =>
  path.startsWith('__MACOSX/') || /(?:^|\/)(?:\.DS_Store|Thumbs\.db)$/.test(path);

const manifestName = 'SKILL.md';

/** At the top, or in the directory that everything else lies in. Other ways to write its name are taken, as Acontext does. */
const manifestOf = (files: readonly ZipEntry[]): ZipEntry => {
  const isManifest = (path: string): boolean => path.toLowerCase() === manifestName.toLowerCase();
  const atTop = files.find(({ path }) => isManifest(path));
  if (atTop) return atTop;
  const [first] = files;
  const top = first?.path.slice(0, first.path.indexOf('/') + 1) ?? '';
  const inTop = files.find(({ path }) => isManifest(path.slice(top.length)));
  if (inTop && files.every(({ path }) => path.startsWith(top))) return inTop;
  throw notASkill(`has no ${manifestName} at its top or in its one top directory`);
};

const notASkill = (why: string): ServiceError => new ServiceError('invalid_argument', `The zip ${why}.`);

/** Up to headBytes of its text. */
const headOf = async (file: ZipEntry): Promise<Uint8Array> => {
  const head = new Uint8Array(Math.min(headBytes, file.sizeBytes));
  let filled = 0;
  for await (const chunk of file.body()) {
    const taken = chunk.subarray(0, head.byteLength - filled);
    head.set(taken, filled);
    filled += taken.byteLength;
    if (filled === head.byteLength) break;
  }
  return head;
};

/** What one request to the store brings at least: files of a skill are small and lie one after the other. */
const windowBytes = 1024 * 1024;

/** A staged object, its last window held. */
const windowOver = (ctx: Context, { blobId, sizeBytes }: StagedBlob): RandomAccess => {
  let held = new Uint8Array();
  let heldFrom = 0;
  return {
    sizeBytes,
    read: async (offset, length) => {
      if (length === 0) return new Uint8Array();
      if (offset < heldFrom || offset + length > heldFrom + held.byteLength) {
        const wanted = Math.min(Math.max(length, windowBytes), sizeBytes - offset);
        const object = await ctx.objects.get(blobKey(ctx.actor.tenant.id, blobId), { offset, length: wanted });
        if (!object) throw new Error(`the staged zip ${blobId} is gone`);
        held = new Uint8Array(await new Response(object.body).arrayBuffer());
        heldFrom = offset;
      }
      return held.subarray(offset - heldFrom, offset - heldFrom + length);
    },
  };
};
