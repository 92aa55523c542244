/** Builds the templates' images that are missing. A content hash in tag and label tells an unchanged one. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import type Docker from 'dockerode';
import { BUILD_CACHE, ensureFromImage, hasImage } from './base-rootfs.ts';
import { runCommand, type Progress } from './command.ts';
import { followEngineStream } from './engine-stream.ts';
import { withMutex } from './mutex.ts';
import { projectRoot } from './project.ts';

const BUILD_DEADLINE_MS = 30 * 60_000;
const BUILD_SILENCE_MS = 5 * 60_000;
const KEPT_LINES = 25;
const SHOW_EVERY_MS = 2_000;

/** The npm of the images, fetched by this machine's npm (its registry, proxy and certificates) and checked here. */
const NPM = {
  version: '11.19.1',
  integrity: 'sha512-ztsxKxt/kkIaAs+2i0GU6I+DRmUdrNasxTZKJe9TCdSjKxlhah/4r/hl5ygMD6XAg1qZ9c2TNomR4qgOydp10g==',
};

/** The images that `npm start` builds, by the folder in images/. */
export const IMAGES = ['base'] as const;
export type ImageName = (typeof IMAGES)[number];

export function imageTag(name: ImageName): string {
  return `glovebox/${name}:latest`;
}

/** Builds each image whose content hash the engine does not have yet; safe to call from several processes at once. */
export async function ensureImages(docker: Docker, progress: Progress): Promise<void> {
  for (const name of IMAGES) {
    const hash = await hashContext(name);
    const tagged = `glovebox/${name}:${hash}`;
    if (!(await hasImage(docker, tagged))) {
      await withMutex('images', BUILD_DEADLINE_MS, async () => {
        if (!(await hasImage(docker, tagged))) await build(docker, name, hash, progress);
      });
    }
    await docker.getImage(tagged).tag({ repo: `glovebox/${name}`, tag: 'latest' });
  }
}

async function build(docker: Docker, name: ImageName, hash: string, progress: Progress): Promise<void> {
  const startedAt = performance.now();
  const folder = join(projectRoot, 'images', name);
  progress(`building image glovebox/${name} (once; an interrupted build goes on where it stopped)`);
  await mkdir(BUILD_CACHE, { recursive: true });
  const dockerfile = await readFile(join(folder, 'Dockerfile'), 'utf8');
  for (const [, from] of dockerfile.matchAll(/^FROM\s+(\S+)/gm)) {
    if (from !== undefined) await ensureFromImage(docker, from, progress);
  }
  const context = await mkdtemp(join(BUILD_CACHE, 'context-'));
  try {
    await cp(folder, context, { recursive: true });
    await layOutNode(join(context, 'node'), progress);
    await buildContext(docker, context, name, hash, progress);
  } finally {
    await rm(context, { recursive: true, force: true });
  }
  await rm(BUILD_CACHE, { recursive: true, force: true });
  progress(`built image glovebox/${name} in ${Math.round((performance.now() - startedAt) / 1000)} s`);
}

async function buildContext(docker: Docker, context: string, name: ImageName, hash: string, progress: Progress) {
  const tar = spawn(
    'tar',
    ['--numeric-owner', '--owner=0', '--group=0', '--sort=name', '-C', context, '-cf', '-', '.'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const last: string[] = [];
  let shownAt = 0;
  try {
    const stream = await docker.buildImage(tar.stdout, {
      t: `glovebox/${name}:${hash}`,
      labels: { 'glovebox.image': name, 'glovebox.image-hash': hash },
      // BuildKit's way needs a session and a client's plugin; every engine still speaks this one.
      version: '1',
    });
    await followEngineStream(stream, BUILD_SILENCE_MS, (line) => {
      if (last.push(line) > KEPT_LINES) last.shift();
      const isStep = /^Step \d/.test(line);
      if (!isStep && performance.now() - shownAt < SHOW_EVERY_MS) return;
      shownAt = performance.now();
      progress(`image ${name}: ${line.trim().slice(0, 100)}`);
    });
  } catch (error) {
    throw new Error([`image glovebox/${name} could not be built`, ...last].join('\n  '), { cause: error });
  } finally {
    tar.kill();
  }
}

/** Lays out what `COPY node/ /usr/local/` takes: the Node that package-lock.json pins, and npm. */
async function layOutNode(target: string, progress: Progress): Promise<void> {
  await mkdir(join(target, 'bin'), { recursive: true });
  await mkdir(join(target, 'lib/node_modules'), { recursive: true });
  await cp(join(nodePackage(), 'bin/node'), join(target, 'bin/node'));
  const tarball = await fetchNpm(progress);
  await runCommand('tar', ['-xzf', tarball, '--no-same-owner', '-C', join(target, 'lib/node_modules')], {
    deadlineMs: 60_000,
  });
  await rename(join(target, 'lib/node_modules/package'), join(target, 'lib/node_modules/npm'));
  for (const command of ['npm', 'npx']) {
    await symlink(`../lib/node_modules/npm/bin/${command}-cli.js`, join(target, 'bin', command));
  }
}

async function fetchNpm(progress: Progress): Promise<string> {
  const path = join(BUILD_CACHE, `npm-${NPM.version}.tgz`);
  const isGood = async () => {
    const content = await readFile(path).catch(() => undefined);
    return content !== undefined && `sha512-${createHash('sha512').update(content).digest('base64')}` === NPM.integrity;
  };
  if (await isGood()) return path;
  progress(`fetching npm ${NPM.version} for the images`);
  await runCommand('npm', ['pack', '--silent', '--pack-destination', BUILD_CACHE, `npm@${NPM.version}`], {
    deadlineMs: 120_000,
  });
  if (!(await isGood()))
    throw new Error(`npm ${NPM.version} as fetched from the registry is not the one that is pinned`);
  return path;
}

function nodePackage(): string {
  return dirname(createRequire(import.meta.url).resolve(`node-linux-${process.arch}/package.json`));
}

/** The hash of all that goes into the image: the folder's files with their modes, and the pinned Node and npm. */
async function hashContext(name: ImageName): Promise<string> {
  const folder = join(projectRoot, 'images', name);
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const hash = createHash('sha256').update(NPM.integrity);
  hash.update((JSON.parse(await readFile(join(nodePackage(), 'package.json'), 'utf8')) as { version: string }).version);
  for (const file of files.toSorted()) {
    const executable = ((await stat(file)).mode & 0o100) !== 0;
    hash.update(`\0${relative(folder, file)}\0${executable}\0`).update(await readFile(file));
  }
  return hash.digest('hex').slice(0, 16);
}
