import { access, readFile, rm, writeFile } from 'node:fs/promises';
import { runCommand, type Progress } from './command.ts';
import { withMutex } from './mutex.ts';

const APT_DEADLINE_MS = 10 * 60_000;
const POLICY = '/usr/sbin/policy-rc.d';

/** What we may need of the system, by the file that shows that it is there. */
const PACKAGE_FILES = {
  'docker.io': '/usr/sbin/dockerd',
  iptables: '/usr/sbin/iptables',
  'redis-server': '/usr/bin/redis-server',
  tini: '/usr/bin/tini-static',
  debootstrap: '/usr/sbin/debootstrap',
  apparmor: '/usr/sbin/apparmor_parser',
  'cgroupfs-mount': '/usr/bin/cgroupfs-mount',
} as const;
export type PackageName = keyof typeof PACKAGE_FILES;

export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

export function systemdRuns(): Promise<boolean> {
  return exists('/run/systemd/system');
}

async function findMissing(names: readonly PackageName[]): Promise<PackageName[]> {
  const there = await Promise.all(names.map((name) => exists(PACKAGE_FILES[name])));
  return names.filter((_name, index) => !there[index]);
}

/** Installs the Debian packages that are missing; starts none of their services. */
export async function installPackages(names: readonly PackageName[], progress: Progress): Promise<void> {
  if ((await findMissing(names)).length === 0) return;
  await withMutex('apt', APT_DEADLINE_MS, async () => {
    const missing = await findMissing(names);
    if (missing.length === 0) return;
    if (!(await exists('/usr/bin/apt-get'))) {
      throw new Error(`${missing.join(', ')}: missing, and this machine has no apt-get; install them and start again`);
    }
    progress(`installing ${missing.join(', ')} with apt-get`);
    await withServicesOff(async () => {
      // Dpkg::Lock::Timeout: another apt (unattended-upgrades) may be at work.
      const apt = ['-q', '-y', '-o', 'DPkg::Lock::Timeout=300', '-o', 'Acquire::Retries=2'];
      const options = {
        deadlineMs: APT_DEADLINE_MS,
        env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', NEEDRESTART_SUSPEND: '1' },
        onLine: (line: string) => {
          if (/^(Get:|Unpacking|Setting up)/.test(line)) progress(`apt-get: ${line}`);
        },
      };
      await runCommand('apt-get', ['update', ...apt], options);
      await runCommand('apt-get', ['install', '--no-install-recommends', ...apt, ...missing], options);
    });
    // We run a Redis of our own: the one that came with the package shall not come up at the next boot.
    if (missing.includes('redis-server') && (await systemdRuns())) {
      await runCommand('systemctl', ['disable', '--quiet', 'redis-server'], { deadlineMs: 60_000 });
    }
  });
}

/** While `work` runs, packages that are being installed start no service (Debian's policy-rc.d). */
async function withServicesOff(work: () => Promise<void>): Promise<void> {
  const mark = `glovebox ${process.pid}`;
  const ours = !(await exists(POLICY));
  if (ours) await writeFile(POLICY, `#!/bin/sh\n# ${mark}\nexit 101\n`, { mode: 0o755 });
  try {
    await work();
  } finally {
    if (ours && (await readFile(POLICY, 'utf8')).includes(mark)) await rm(POLICY, { force: true });
  }
}
