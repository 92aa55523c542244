import { execFile } from 'node:child_process';
import { access, chmod, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { unpackPackage } from '../debian-package.ts';

const run = promisify(execFile);
const cache = join(import.meta.dirname, '../../../node_modules/.cache/glovebox/criu');
/** Debian 12's own is too old for recent kernels. */
const suite = 'sid';

export type FoundCriu = { folder: string } | { missing: string };

/**
 * A folder with a `criu` that works here: CRIU_PATH's, an installed one, or that of a newer Debian suite, from the mirror that this machine
 * uses anyway, with all its libraries in a folder of its own beside it: nothing of the system is touched.
 */
export async function findCriu(): Promise<FoundCriu> {
  const given = process.env['CRIU_PATH'];
  if (given !== undefined && given !== '') return { folder: dirname(given) };
  for (const folder of (process.env['PATH'] ?? '').split(':')) {
    if (folder !== '' && (await exists(join(folder, 'criu')))) return { folder };
  }
  try {
    if (!(await exists(join(cache, 'criu')))) await fetchCriu();
    await run(join(cache, 'criu'), ['check'], { timeout: 20_000 });
    return { folder: cache };
  } catch (error) {
    return {
      missing: `CRIU could not be had: ${error instanceof Error ? error.message.slice(0, 300) : String(error)}`,
    };
  }
}

async function fetchCriu(): Promise<void> {
  const making = `${cache}.making-${process.pid}`;
  try {
    await mkdir(dirname(cache), { recursive: true });
    await unpackPackage('criu', suite, making);
    await writeWrapper(making);
    await rename(making, cache);
  } finally {
    await rm(making, { recursive: true, force: true });
  }
}

/** By the loader that it was built for. The folder is named as it will be. */
async function writeWrapper(making: string): Promise<void> {
  const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
  const libraries = join('root/usr/lib', `${machine}-linux-gnu`);
  const loader = process.arch === 'arm64' ? 'ld-linux-aarch64.so.1' : 'ld-linux-x86-64.so.2';
  await run('cc', [
    '-shared',
    '-fPIC',
    '-O1',
    '-o',
    join(making, 'read-limits.so'),
    join(import.meta.dirname, 'read-limits.c'),
  ]);
  const words = [
    join(cache, libraries, loader),
    '--preload',
    join(cache, 'read-limits.so'),
    '--library-path',
    join(cache, libraries),
    join(cache, 'root/usr/sbin/criu'),
  ];
  await writeFile(join(making, 'criu'), `#!/bin/sh\nexec ${words.map((word) => `'${word}'`).join(' ')} "$@"\n`);
  await chmod(join(making, 'criu'), 0o755);
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
