import { readFile, readlink } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AGENT_MOUNT, SOCKET_MOUNT } from '../../runner/agent/paths.ts';
import { makeImageWithoutSudo, startTestEngine, type TestEngine, type TestSandbox } from './sandbox.ts';

let its: TestEngine;
let sandbox: TestSandbox;

beforeAll(async () => {
  its = await startTestEngine();
  sandbox = await its.start();
});
afterAll(async () => {
  await sandbox?.session.close();
  await its?.dispose();
});

/** Names of the bits in a capability mask. */
const capabilityBits: Record<number, string> = {
  0: 'CHOWN',
  1: 'DAC_OVERRIDE',
  3: 'FOWNER',
  4: 'FSETID',
  5: 'KILL',
  6: 'SETGID',
  7: 'SETUID',
  10: 'NET_BIND_SERVICE',
  18: 'SYS_CHROOT',
  29: 'AUDIT_WRITE',
};
function capabilityNames(mask: string): string[] {
  const value = BigInt(`0x${mask}`);
  return [...Array(64).keys()]
    .filter((bit) => (value >> BigInt(bit)) & 1n)
    .map((bit) => capabilityBits[bit] ?? `bit ${bit}`);
}
async function statusOf(target: TestSandbox, user: string): Promise<Record<string, string>> {
  const { stdout } = await target.run('cat /proc/self/status', { user });
  return Object.fromEntries(
    stdout.split('\n').map((line) => line.split(':\t').map((part) => part.trim())) as [string, string][],
  );
}

describe('capabilities', () => {
  test('root has exactly those that apt and user switching need, NET_RAW not among them', async () => {
    const status = await statusOf(sandbox, 'root');
    const expected = Object.values(capabilityBits);
    expect(capabilityNames(status['CapEff'] ?? '')).toEqual(expected);
    expect(capabilityNames(status['CapBnd'] ?? '')).toEqual(expected);
    expect(capabilityNames(status['CapInh'] ?? '')).toEqual([]);
    expect(capabilityNames(status['CapAmb'] ?? '')).toEqual([]);
  });

  test('a plain user has none', async () => {
    const status = await statusOf(sandbox, 'user');
    expect(capabilityNames(status['CapEff'] ?? '')).toEqual([]);
    expect(capabilityNames(status['CapPrm'] ?? '')).toEqual([]);
  });

  test('what they are there for works: sudo, switching users, ports below 1024, chown of others’ files', async () => {
    const { stdout, stderr } = await sandbox.run(
      `set -e
       sudo -n id -u
       su user -c 'id -un'
       python3 -c "import socket; socket.socket().bind(('127.0.0.1', 80)); print('bound')"
       touch /tmp/own && chown user:user /tmp/own && stat -c %U /tmp/own`,
    );
    expect({ stdout, stderr }).toEqual({ stdout: '0\nuser\nbound\nuser\n', stderr: '' });
  });
});

describe('no new privileges', () => {
  test('an image that offers sudo keeps its set-id programs', async () => {
    expect((await sandbox.run('sudo -n id -u', { user: 'user' })).stdout).toBe('0\n');
  });

  test('in an image that offers none, no program gains anything', async () => {
    const image = await makeImageWithoutSudo(its.docker, its.installationId);
    const plain = await its.start({ image });
    try {
      expect(await statusOf(plain, 'user')).toMatchObject({ NoNewPrivs: '1' });
      const { exit } = await plain.run('sudo -n id -u', { user: 'user' });
      expect(exit.exitCode).not.toBe(0);
      expect(capabilityNames((await statusOf(plain, 'root'))['CapBnd'] ?? '')).not.toContain('AUDIT_WRITE');
    } finally {
      await plain.remove();
      await its.docker.getImage(image).remove();
    }
  });
});

const prelude = `
import ctypes, errno, json, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) for a in arguments])
    return 'done' if result >= 0 else errno.errorcode[ctypes.get_errno()]
`;

describe.skipIf(process.arch !== 'x64')('system calls', () => {
  test('io_uring, bpf, keyrings, userfaultfd, perf, kernel modules, mounts and namespaces are refused to root', async () => {
    const refused = {
      io_uring_setup: 425,
      io_uring_enter: 426,
      io_uring_register: 427,
      bpf: 321,
      add_key: 248,
      request_key: 249,
      keyctl: 250,
      userfaultfd: 323,
      perf_event_open: 298,
      memfd_secret: 447,
      name_to_handle_at: 303,
      open_by_handle_at: 304,
      mount: 165,
      umount2: 166,
      pivot_root: 155,
      fsopen: 430,
      open_tree: 428,
      move_mount: 429,
      setns: 308,
      init_module: 175,
      finit_module: 313,
      kexec_load: 246,
      iopl: 172,
      swapon: 167,
      reboot: 169,
      sethostname: 170,
      settimeofday: 164,
      syslog: 103,
      acct: 163,
      quotactl: 179,
      kcmp: 312,
      modify_ldt: 154,
      clone3: 435,
      unshare: 272,
    };
    const answers = await sandbox.python<Record<string, string>>(
      `${prelude}\nprint(json.dumps({name: call(number, 0, 0, 0, 0, 0, 0) for name, number in ${JSON.stringify(refused)}.items()}))`,
    );
    for (const [name, answer] of Object.entries(answers)) {
      const missing = /^(io_uring|clone3)/.test(name);
      expect(`${name}: ${answer}`).toBe(`${name}: ${missing ? 'ENOSYS' : 'EPERM'}`);
    }
  });

  test('no namespace can be made, by unshare or clone, as root or user', async () => {
    const program = `${prelude}
flags = {'ns': 0x20000, 'cgroup': 0x2000000, 'uts': 0x4000000, 'ipc': 0x8000000, 'user': 0x10000000, 'pid': 0x20000000, 'net': 0x40000000}
print(json.dumps({name + how: call(*([272, flag] if how == 'unshare' else [56, flag | 17, 0, 0, 0, 0])) for name, flag in flags.items() for how in ('unshare', 'clone')}))`;
    for (const user of ['root', 'user']) {
      const answers = await sandbox.python<Record<string, string>>(program, { user });
      expect(new Set(Object.values(answers))).toEqual(new Set(['EPERM']));
    }
  });

  test('only local, IPv4, IPv6 and plain netlink sockets can be opened', async () => {
    const answers = await sandbox.python<Record<string, string>>(`${prelude}
def opened(*arguments):
    try:
        socket.socket(*arguments).close()
        return 'done'
    except OSError as error:
        return errno.errorcode[error.errno]
kinds = {family: opened(family, kind) for family in range(0, 46) for kind in ((3,) if family in (16, 17, 38) else (1,))}
kinds.update({'netlink-%d' % protocol: opened(16, 3, protocol) for protocol in range(0, 22)})
kinds['raw'] = opened(2, 3, 1)
print(json.dumps(kinds))`);
    const done = Object.keys(answers).filter((name) => answers[name] === 'done');
    expect(done.sort()).toEqual(['1', '10', '16', '2', 'netlink-0', 'netlink-4', 'netlink-9'].sort());
  });

  test('of these, only TCP, UDP and ping: no other protocol, whose module the kernel would load for the node', async () => {
    const answers = await sandbox.python<Record<string, string>>(`${prelude}
def opened(*arguments):
    try:
        socket.socket(*arguments).close()
        return 'done'
    except OSError as error:
        return errno.errorcode[error.errno]
flags = socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
print(json.dumps({'%d %d %d' % (family, kind, protocol): opened(family, kind | flags, protocol)
  for family in (2, 10) for kind in (1, 2, 3, 4, 5, 6) for protocol in (0, 6, 17, 33, 115, 132, 136, 255, 256, 262)}))`);
    const done = Object.keys(answers).filter((name) => answers[name] === 'done');
    expect(done).toEqual(['2 1 0', '2 1 6', '2 2 0', '2 2 17', '10 1 0', '10 1 6', '10 2 0', '10 2 17']);
    const refused = Object.values(answers).filter((answer) => answer !== 'done');
    // EPERM: refused before the kernel could look for a module.
    expect(new Set(refused)).toEqual(new Set(['EPERM']));
  });

  test('a 32-bit system call ends the process instead of passing the filter', async () => {
    const { exit } = await sandbox.run(`python3 - <<'END'
import ctypes, mmap
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(bytes.fromhex('b814000000cd80c3'))  # mov eax, 20; int 0x80; ret
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
END`);
    expect(exit.exitCode === 159 || exit.signal === 'SIGSYS').toBe(true);
  });

  test('apt, python with threads, node and tar do all they did before', async () => {
    const { stdout, exit } = await sandbox.run(
      `set -e
       python3 -c "import threading, multiprocessing as m, os; threading.Thread(target=print, args=('thread',)).start(); print(m.get_context('fork').Pool(2).map(abs, [-1]))"
       node -e "new (require('worker_threads').Worker)('console.log(40+2)', {eval: true})"
       dpkg --configure -a && apt-get --version | head -c 3
       tar -C / -cf - etc/hostname 2>/dev/null | tar -tf -`,
      { user: 'root' },
    );
    expect({ stdout, code: exit.exitCode }).toEqual({ stdout: 'thread\n[1]\n42\naptetc/hostname\n', code: 0 });
  });
});

describe('what a sandbox sees', () => {
  test('no namespace is the host’s', async () => {
    for (const kind of ['mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup']) {
      const [inside, outside] = await Promise.all([
        readlink(`/proc/${sandbox.hostPid}/ns/${kind}`),
        readlink(`/proc/self/ns/${kind}`),
      ]);
      expect(`${kind} ${inside}`).not.toBe(`${kind} ${outside}`);
    }
  });

  test('of the host’s files only the agent’s program and its socket directory are mounted, both read-only', async () => {
    const { stdout } = await sandbox.run('cat /proc/self/mountinfo');
    const devices = stdout
      .split('\n')
      .filter((line) => / - (ext4|xfs|btrfs|zfs|overlay) /.test(line))
      .map((line) => line.split(' '))
      .map(([, , , , point, options]) => `${point} ${options?.split(',')[0]}`);
    expect(devices.sort()).toEqual(
      [
        '/ rw',
        `${AGENT_MOUNT} ro`,
        `${SOCKET_MOUNT} ro`,
        // The engine's own files for this container alone.
        '/etc/hostname rw',
        '/etc/hosts rw',
        '/etc/resolv.conf rw',
      ].sort(),
    );
    const { exit } = await sandbox.run(
      `touch ${AGENT_MOUNT}/x ${SOCKET_MOUNT}/x || mount -o remount,rw ${SOCKET_MOUNT}`,
    );
    expect(exit.exitCode).not.toBe(0);
  });

  test('kernel memory, keys, firmware, machine identity and the command line are masked', async () => {
    const { stdout } = await sandbox.run(
      `for path in /proc/kcore /proc/keys /proc/key-users /proc/cmdline /proc/timer_list /proc/kallsyms /proc/partitions /proc/kmsg; do
         [ -e $path ] && head -c 100 $path 2>/dev/null | wc -c
       done | sort -u
       ls -A /sys/firmware /sys/devices/virtual/dmi/* /sys/class/dmi/id/ 2>/dev/null | grep -v : | wc -l
       cat /sys/class/dmi/id/product_uuid /sys/class/dmi/id/sys_vendor 2>/dev/null | wc -c`,
    );
    expect(stdout.trim().split(/\s+/)).toEqual(['0', '0', '0']);
  });

  test('the node’s disks, devices, page tables, modules and other sandboxes’ locks and load are masked', async () => {
    const { stdout } = await sandbox.run(
      `for path in /proc/kpagecgroup /proc/kpagecount /proc/kpageflags /proc/slabinfo /proc/vmallocinfo /proc/buddyinfo /proc/pagetypeinfo \
         /proc/locks /proc/ioports /proc/config.gz /proc/diskstats /proc/pressure/cpu /sys/kernel/notes /sys/kernel/vmcoreinfo; do
         [ -e $path ] && [ "$(head -c 8 $path 2>/dev/null | wc -c)" != 0 ] && echo "$path says something"
       done
       for path in /sys/block /sys/bus /sys/class/block /sys/module /sys/kernel/slab /sys/kernel/debug /sys/kernel/tracing /sys/fs/ext4; do
         [ -n "$(ls -A $path 2>/dev/null)" ] && echo "$path shows something"
       done; true`,
    );
    expect(stdout).toBe('');
  });

  test('kernel settings can’t be written', async () => {
    const { stdout } = await sandbox.run(
      `for path in /proc/sys/kernel/core_pattern /proc/sys/kernel/hostname /proc/sys/vm/overcommit_memory /proc/sysrq-trigger /sys/kernel/uevent_helper /proc/sys/net/ipv4/ip_forward; do
         (echo x > $path) 2>/dev/null && echo "wrote $path"
       done
       find /sys/fs/cgroup -name release_agent -writable 2>/dev/null
       for file in $(find /sys/fs/cgroup -name cgroup.procs 2>/dev/null); do (echo 0 > $file) 2>/dev/null && echo "wrote $file"; done
       true`,
    );
    expect(stdout).toBe('');
  });

  test('there are no devices but the harmless ones, and none can be made', async () => {
    const { stdout } = await sandbox.run(
      `find /dev -type b; find /dev -maxdepth 1 -type c -printf '%f\\n' | sort | tr '\\n' ' '; mknod /tmp/disk b 254 0 2>/dev/null && echo made; true`,
    );
    expect(stdout.trim()).toBe('full null random tty urandom zero');
  });

  test('the host name is random and neither the node’s nor the container’s', async () => {
    const { stdout } = await sandbox.run('cat /etc/hostname; hostname -f 2>/dev/null || true');
    const name = stdout.split('\n')[0] ?? '';
    expect(name).toMatch(/^[0-9a-f]{12}$/);
    expect(name).not.toBe((await readFile('/etc/hostname', 'utf8')).trim());
    expect(sandbox.containerId).not.toContain(name);
  });

  test('nothing of the runner’s environment is in the agent’s or a command’s', async () => {
    const agent = await readFile(`/proc/${sandbox.hostPid}/environ`, 'utf8');
    const names = agent.split('\0').map((entry) => entry.split('=')[0]);
    // The agent's own settings of its JavaScript engine are all that it is given.
    expect(names.filter((name) => !/^(|HOSTNAME|HOME|BUN_JSC_\w+)$/.test(name ?? ''))).toEqual([]);
    const { stdout } = await sandbox.run('env | cut -d= -f1 | sort | tr "\\n" " "', { user: 'user' });
    expect(
      stdout
        .trim()
        .split(' ')
        .filter((name) => !/^(HOME|LANG|LOGNAME|PATH|PWD|SHELL|SHLVL|USER|_)$/.test(name)),
    ).toEqual([]);
  });

  test('the name servers and search domains of the node are not told to a sandbox without network', async () => {
    const { stdout } = await sandbox.run('grep -v "^#" /etc/resolv.conf');
    expect(stdout.split('\n').filter((line) => /^(nameserver|search)/.test(line))).toEqual(['nameserver 127.0.0.1']);
  });
});
