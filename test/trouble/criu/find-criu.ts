import { execFile } from 'node:child_process';
import { access, chmod, mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const DOWNLOAD_MS = 180_000;
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
  const at = (name: string) => join(making, name);
  try {
    for (const name of ['apt/lists/partial', 'apt/cache/archives/partial', 'root']) {
      await mkdir(at(name), { recursive: true });
    }
    const archive = '/usr/share/keyrings/debian-archive-keyring.gpg';
    await writeFile(at('apt/sources.list'), `deb [signed-by=${archive}] ${await debianMirror()} ${suite} main\n`);
    await writeFile(at('apt/status'), '');
    await writeFile(at('apt/apt.conf'), aptConfiguration(at('apt')));
    const options = { timeout: DOWNLOAD_MS, env: { ...process.env, APT_CONFIG: at('apt/apt.conf') } };
    await run('apt-get', ['update'], options);
    await run('apt-get', ['install', '--yes', '--download-only', '--no-install-recommends', 'criu'], options);
    const archives = at('apt/cache/archives');
    for (const name of await readdir(archives)) {
      if (name.endsWith('.deb')) await run('dpkg-deb', ['-x', join(archives, name), at('root')]);
    }
    await writeWrapper(making);
    await rm(at('apt'), { recursive: true });
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

async function debianMirror(): Promise<string> {
  const folder = '/etc/apt/sources.list.d';
  const names = (await readdir(folder).catch(() => [])).filter((name) => /\.(sources|list)$/.test(name));
  for (const path of ['/etc/apt/sources.list', ...names.map((name) => join(folder, name))]) {
    const text = await readFile(path, 'utf8').catch(() => '');
    const found = /^(?:URIs:|deb (?:\[[^\]]*\] )?)\s*(https?:\S+\/debian\/?)(?:\s|$)/m.exec(text)?.[1];
    if (found !== undefined) return found;
  }
  throw new Error('this machine has no Debian mirror');
}

const aptConfiguration = (folder: string): string => `
Dir::State::lists "${folder}/lists";
Dir::State::status "${folder}/status";
Dir::Cache "${folder}/cache";
Dir::Etc::sourcelist "${folder}/sources.list";
Dir::Etc::sourceparts "-";
APT::Sandbox::User "root";
`;

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
