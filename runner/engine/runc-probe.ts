import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const commandTimeoutMs = 10_000;

/** Without pipes: the container that waits to be started would hold them open. */
async function runc(words: string[]): Promise<void> {
  const child = spawn('runc', words, { stdio: 'ignore', signal: AbortSignal.timeout(commandTimeoutMs) });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`runc ended with ${code}`);
}

/**
 * Whether this node's runc masks a path with whatever the container's /dev/null happens to be (CVE-2025-31133 and its
 * relatives -52565 and -52881, fixed together): judged by doing it, since distributions backport fixes without changing the
 * version. The bundle's /dev/null is a link to a file; a runc with the fix refuses it, one without shows the file in place
 * of the masked path. undefined where runc can't be run by hand.
 */
export async function probeMaskedPaths(): Promise<'fixed' | 'open' | undefined> {
  const folder = await mkdtemp(join(tmpdir(), 'gbx-runc-'));
  try {
    // First a bundle without a trap: where even that fails, a failure with the trap says nothing.
    if ((await maskedContent(folder, 'plain', false)) === undefined) return undefined;
    const content = await maskedContent(folder, 'trap', true);
    return content === 'victim' ? 'open' : 'fixed';
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A sentence for each open risk of this node's runc. */
export async function runcRisks(): Promise<string[]> {
  if ((await probeMaskedPaths()) !== 'open') return [];
  return [
    'Open risk CVE-2025-31133 (with -52565, -52881): this node’s runc does not verify what it masks paths with. Using it takes a ' +
      'writable mount that two containers share, and sandboxes have none; install a runc with the fix all the same.',
  ];
}

/** What is seen at the masked path of a container that was made but not started; undefined if it could not be made. */
async function maskedContent(folder: string, name: string, trap: boolean): Promise<string | undefined> {
  const bundle = join(folder, name);
  const rootfs = join(bundle, 'rootfs');
  const state = join(folder, `${name}-state`);
  const id = `gbx-probe-${randomBytes(6).toString('hex')}`;
  for (const directory of ['dev', 'proc']) await mkdir(join(rootfs, directory), { recursive: true });
  await writeFile(join(rootfs, 'victim'), 'victim');
  await writeFile(join(rootfs, 'masked'), 'masked');
  await writeFile(join(rootfs, 'program'), '');
  await chmod(join(rootfs, 'program'), 0o755);
  if (trap) await symlink('/victim', join(rootfs, 'dev', 'null'));
  await writeFile(join(bundle, 'config.json'), JSON.stringify(bundleConfig(trap ? join(rootfs, 'dev') : undefined)));
  const run = (...words: string[]): Promise<void> => runc(['--root', state, ...words]);
  try {
    await run('create', '--bundle', bundle, '--pid-file', join(folder, `${name}.pid`), id);
    const pid = (await readFile(join(folder, `${name}.pid`), 'utf8')).trim();
    return await readFile(`/proc/${pid}/root/masked`, 'utf8');
  } catch {
    return undefined;
  } finally {
    await run('delete', '--force', id).catch(() => undefined);
  }
}

/** Without a directory for /dev, runc fills it with real devices. */
function bundleConfig(dev: string | undefined): object {
  return {
    ociVersion: '1.0.2',
    process: { terminal: false, user: { uid: 0, gid: 0 }, args: ['/program'], env: [], cwd: '/' },
    root: { path: 'rootfs' },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      dev === undefined
        ? { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755'] }
        : { destination: '/dev', type: 'bind', source: dev, options: ['bind', 'rw'] },
    ],
    linux: {
      namespaces: ['pid', 'mount', 'ipc', 'uts', 'network'].map((type) => ({ type })),
      maskedPaths: ['/masked'],
    },
  };
}
