import { execFile } from 'node:child_process';
import { access, mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { unpackPackage } from '../debian-package.ts';

const cache = join(import.meta.dirname, '../../../node_modules/.cache/glovebox/runsc');
/** The release that Debian 12 can install. */
const suite = 'bookworm-backports';

export type FoundRunsc = { path: string } | { missing: string };

/** A `runsc` that starts here: RUNSC_PATH's, an installed one, or Debian's, in a folder of its own. */
export async function findRunsc(): Promise<FoundRunsc> {
  const given = process.env['RUNSC_PATH'];
  if (given !== undefined && given !== '') return { path: given };
  try {
    for (const folder of (process.env['PATH'] ?? '').split(':')) {
      if (folder !== '' && (await exists(join(folder, 'runsc')))) return { path: join(folder, 'runsc') };
    }
    const path = join(cache, 'root/usr/bin/runsc');
    if (!(await exists(path))) await fetchRunsc();
    await promisify(execFile)(path, ['--version'], { timeout: 20_000 });
    return { path };
  } catch (error) {
    return {
      missing: `runsc could not be had: ${error instanceof Error ? error.message.slice(0, 300) : String(error)}`,
    };
  }
}

async function fetchRunsc(): Promise<void> {
  const making = `${cache}.making-${process.pid}`;
  try {
    await mkdir(dirname(cache), { recursive: true });
    await unpackPackage('runsc', suite, making);
    await rename(making, cache);
  } finally {
    await rm(making, { recursive: true, force: true });
  }
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
