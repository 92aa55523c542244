import { execFile } from 'node:child_process';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const DOWNLOAD_MS = 180_000;

/**
 * A package of another Debian suite and all that it depends on, from the mirror that this machine uses anyway, unpacked into `folder`/root:
 * nothing of the system is touched. What else it leaves in `folder` is gone when it resolves.
 */
export async function unpackPackage(name: string, suite: string, folder: string): Promise<void> {
  const at = (path: string) => join(folder, path);
  for (const path of ['apt/lists/partial', 'apt/cache/archives/partial', 'root']) {
    await mkdir(at(path), { recursive: true });
  }
  const archive = '/usr/share/keyrings/debian-archive-keyring.gpg';
  await writeFile(at('apt/sources.list'), `deb [signed-by=${archive}] ${await debianMirror()} ${suite} main\n`);
  await writeFile(at('apt/status'), '');
  await writeFile(at('apt/apt.conf'), aptConfiguration(at('apt')));
  const options = { timeout: DOWNLOAD_MS, env: { ...process.env, APT_CONFIG: at('apt/apt.conf') } };
  await run('apt-get', ['update'], options);
  await run('apt-get', ['install', '--yes', '--download-only', '--no-install-recommends', name], options);
  const archives = at('apt/cache/archives');
  for (const file of await readdir(archives)) {
    if (file.endsWith('.deb')) await run('dpkg-deb', ['-x', join(archives, file), at('root')]);
  }
  await rm(at('apt'), { recursive: true });
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
