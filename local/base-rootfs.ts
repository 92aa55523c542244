import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type Docker from 'dockerode';
import { runCommand, type Progress } from './command.ts';
import { followEngineStream } from './engine-stream.ts';
import { installPackages } from './packages.ts';

const PULL_SILENCE_MS = 10_000;
const DEBOOTSTRAP_DEADLINE_MS = 15 * 60_000;
const TAR_DEADLINE_MS = 5 * 60_000;
const IMPORT_SILENCE_MS = 5 * 60_000;

/** Where downloads outlive an interrupted build; emptied by the build that succeeds. */
export const BUILD_CACHE = '/var/cache/glovebox';

/** The Debian images that debootstrap can stand in for: name → suite. */
const DEBIAN_SUITES: Readonly<Record<string, string>> = { 'debian:bookworm-slim': 'bookworm' };

/** Makes sure that a FROM image is on the engine: there already, pulled, or made with debootstrap under the same name. */
export async function ensureFromImage(docker: Docker, name: string, progress: Progress): Promise<void> {
  if (await hasImage(docker, name)) return;
  const refusal = await tryPull(docker, name, progress);
  if (refusal === undefined) return;
  const suite = DEBIAN_SUITES[name];
  if (suite === undefined) throw new Error(`${name} can't be pulled (${refusal}) and no stand-in for it is known`);
  progress(`no image registry answers (${refusal}): making ${name} here with debootstrap instead`);
  await bootstrap(docker, name, suite, progress);
}

export async function hasImage(docker: Docker, name: string): Promise<boolean> {
  try {
    await docker.getImage(name).inspect();
    return true;
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode === 404) return false;
    throw error;
  }
}

/** Pulls the image; returns why not if the registry can't be reached, refuses, or is silent for too long. */
async function tryPull(docker: Docker, name: string, progress: Progress): Promise<string | undefined> {
  const abort = new AbortController();
  const deadline = setTimeout(() => abort.abort(), PULL_SILENCE_MS);
  try {
    progress(`pulling ${name}`);
    const stream = await docker.pull(name, { abortSignal: abort.signal });
    clearTimeout(deadline);
    await followEngineStream(stream, PULL_SILENCE_MS * 6, () => undefined);
    return undefined;
  } catch (error) {
    if (abort.signal.aborted) return `no answer within ${PULL_SILENCE_MS / 1000} s`;
    return (error as Error).message.replace(/^\(HTTP code \d+\) [^-]*- /, '').trim();
  } finally {
    clearTimeout(deadline);
  }
}

async function bootstrap(docker: Docker, name: string, suite: string, progress: Progress): Promise<void> {
  await installPackages(['debootstrap'], progress);
  const cache = join(BUILD_CACHE, 'debs');
  await mkdir(cache, { recursive: true });
  const work = await mkdtemp(join(BUILD_CACHE, 'rootfs-'));
  try {
    const root = join(work, 'root');
    let count = 0;
    await runCommand('debootstrap', ['--variant=minbase', `--cache-dir=${cache}`, suite, root], {
      deadlineMs: DEBOOTSTRAP_DEADLINE_MS,
      onLine: (line) => {
        if (++count % 50 === 0 || /^I: (Base system|Retrieving InRelease)/.test(line)) {
          progress(`debootstrap: ${line.replace(/^I: /, '')}`);
        }
      },
    });
    await slim(root, suite);
    const archive = join(work, 'root.tar');
    const excluded = ['./proc/*', './sys/*', './dev/*', './run/*'].map((path) => `--exclude=${path}`);
    await runCommand('tar', ['--numeric-owner', '--xattrs', ...excluded, '-C', root, '-cf', archive, '.'], {
      deadlineMs: TAR_DEADLINE_MS,
    });
    // The engine gives the name only to a whole import, so an interruption leaves no half image behind.
    const [repo, tag] = name.split(':');
    const options = { repo, tag, changes: ['CMD ["bash"]', 'LABEL glovebox.made-by=debootstrap'] };
    const stream = await docker.importImage(createReadStream(archive), options);
    await followEngineStream(stream, IMPORT_SILENCE_MS, () => undefined);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  await rm(cache, { recursive: true, force: true });
}

/** What makes a minbase tree a "slim" one: no manuals, none to come, all the suite's updates, services stay off. */
async function slim(root: string, suite: string): Promise<void> {
  for (const path of ['usr/share/man', 'usr/share/info', 'usr/share/groff', 'usr/share/lintian', 'usr/share/linda']) {
    await rm(join(root, path), { recursive: true, force: true });
  }
  await runCommand('find', [join(root, 'usr/share/doc'), '-type', 'f', '!', '-name', 'copyright', '-delete'], {
    deadlineMs: TAR_DEADLINE_MS,
  });
  await runCommand('find', [join(root, 'usr/share/locale'), '-mindepth', '1', '-delete'], {
    deadlineMs: TAR_DEADLINE_MS,
  });
  await rm(join(root, 'var/cache/apt'), { recursive: true, force: true });
  await rm(join(root, 'var/lib/apt/lists'), { recursive: true, force: true });
  await rm(join(root, 'etc/hostname'), { force: true });
  await rm(join(root, 'etc/resolv.conf'), { force: true });
  const excluded = ['doc/*', 'man/*', 'info/*', 'groff/*', 'lintian/*', 'linda/*', 'locale/*'];
  await writeFile(
    join(root, 'etc/dpkg/dpkg.cfg.d/slim'),
    [...excluded.map((path) => `path-exclude /usr/share/${path}`), 'path-include /usr/share/doc/*/copyright', ''].join(
      '\n',
    ),
  );
  await writeFile(
    join(root, 'etc/apt/apt.conf.d/slim'),
    'Acquire::Languages "none";\nAPT::Install-Recommends "false";\nDpkg::Use-Pty "0";\n',
  );
  await writeFile(join(root, 'usr/sbin/policy-rc.d'), '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  await writeFile(
    join(root, 'etc/apt/sources.list'),
    [
      `deb http://deb.debian.org/debian ${suite} main`,
      `deb http://deb.debian.org/debian ${suite}-updates main`,
      `deb http://deb.debian.org/debian-security ${suite}-security main`,
      '',
    ].join('\n'),
  );
}
