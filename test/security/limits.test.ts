import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../wait-for.ts';
import { host, startTestEngine, type TestEngine, type TestSandbox } from './sandbox.ts';

let its: TestEngine;
let sandbox: TestSandbox;

beforeAll(async () => {
  its = await startTestEngine();
  sandbox = await its.start({ cpus: 0.5, memoryMiB: 256, diskMiB: 256 });
});
afterAll(async () => {
  await sandbox?.session.close();
  await its?.dispose();
});

describe('one sandbox', () => {
  test('gets no more memory than its limit, swap included, and lives on', async () => {
    const { exit } = await sandbox.run('python3 -c "x = bytearray(400 << 20)"');
    expect(exit.signal ?? exit.exitCode).not.toBe(0);
    const { stdout } = await sandbox.run('python3 -c "x = bytearray(100 << 20); print(len(x))"');
    expect(stdout).toBe(`${100 << 20}\n`);
    expect((await its.engine.metrics(sandbox.containerId)).memoryPeakBytes).toBeLessThanOrEqual(256 << 20);
  });

  test('gets no more CPU than its limit', async () => {
    const { used, elapsed } = await sandbox.python<{ used: number; elapsed: number }>(`
import json, os, time
began = time.monotonic()
for _ in range(4):
    if os.fork() == 0:
        end = time.monotonic() + 2
        while time.monotonic() < end: pass
        os._exit(0)
for _ in range(4): os.wait()
times = os.times()
elapsed = time.monotonic() - began
print(json.dumps({'used': times.children_user + times.children_system, 'elapsed': elapsed}))`);
    expect(used).toBeLessThan(0.5 * 1.4 * elapsed);
  });

  test('has at most 512 tasks', async () => {
    const started = await sandbox.python<number>(`
import json, os, signal
children = []
try:
    while len(children) < 2000:
        child = os.fork()
        if child == 0: signal.pause(); os._exit(0)
        children.append(child)
except BlockingIOError:
    pass
for child in children: os.kill(child, signal.SIGKILL); os.waitpid(child, 0)
print(json.dumps(len(children)))`);
    expect(started).toBeLessThan(512);
    expect(started).toBeGreaterThan(400);
  });

  test('writes no core files, has bounded open files, and can’t raise a limit', async () => {
    const { stdout } = await sandbox.run('ulimit -Hc; ulimit -Hn; ulimit -Hn 1000000 2>/dev/null && echo raised; true');
    expect(stdout).toBe('0\n16384\n');
  });

  test('can’t make a file larger than its disk', async () => {
    const { stdout } = await sandbox.run(
      'fallocate -l 300M /tmp/large 2>/dev/null || head -c 300M /dev/zero > /tmp/large; stat -c %s /tmp/large; rm /tmp/large',
    );
    expect(Number(stdout)).toBeLessThanOrEqual(256 << 20);
  });

  test('has bounded shared memory', async () => {
    const { stdout } = await sandbox.run(
      'head -c 100M /dev/zero > /dev/shm/x 2>/dev/null; stat -c %s /dev/shm/x; rm /dev/shm/x',
    );
    expect(Number(stdout)).toBeLessThanOrEqual(64 << 20);
  });

  test('leaves no log on the node, however much its main process would print', async () => {
    const { HostConfig, LogPath } = await its.docker.getContainer(sandbox.containerId).inspect();
    expect({ type: HostConfig.LogConfig?.Type, LogPath }).toEqual({ type: 'none', LogPath: '' });
  });

  test('gets another size at once', async () => {
    await its.engine.resize(sandbox.containerId, { cpus: 1, memoryMiB: 384 });
    const { cpus, memoryLimitBytes } = await its.engine.metrics(sandbox.containerId);
    expect({ cpus, memoryLimitBytes }).toEqual({ cpus: 1, memoryLimitBytes: 384 << 20 });
    const { stdout } = await sandbox.run('python3 -c "x = bytearray(300 << 20); print(len(x))"');
    expect(stdout).toBe(`${300 << 20}\n`);
  });
});

describe('counters that the kernel keeps for all sandboxes together', () => {
  test('are not used up for a neighbour by one that takes all it can get', async () => {
    const neighbour = await its.start();
    const greedy = await its.start({ memoryMiB: 128 });
    try {
      // Stays alive with all that it got, as the same user id as the neighbour's.
      await greedy.run(
        `setsid python3 - > /dev/null 2>&1 <<'END' &
import ctypes, os, signal
libc = ctypes.CDLL(None)
def take(make, name):
    if os.fork() > 0: return
    count = 0
    try:
        while count < 15000 and make() is not None: count += 1
    except OSError: pass
    open('/tmp/taken-%s' % name, 'w').write(str(count))
    signal.pause()
def inotify():
    fd = libc.inotify_init1(0)
    return None if fd < 0 else fd
for round in range(3): take(inotify, 'inotify-%d' % round)
for round in range(2): take(os.pipe, 'pipe-%d' % round)
signal.pause()
END`,
        { user: 'user' },
      );
      const taken = await waitFor(
        'the greedy one to have taken all',
        async () => {
          const counts = (await greedy.run('for f in /tmp/taken-*; do cat $f; echo; done')).stdout;
          const numbers = counts
            .split('\n')
            .filter((line) => line !== '')
            .map(Number);
          return numbers.length === 5 && numbers;
        },
        20_000,
      );
      expect(taken.every((count) => count > 5_000)).toBe(true);
      const { stdout } = await neighbour.run(
        `python3 - <<'END'
import ctypes, fcntl, os
libc = ctypes.CDLL(None)
print(sum(libc.inotify_init1(0) >= 0 for _ in range(200)))
F_GETPIPE_SZ = 1032
ends = [os.pipe() for _ in range(200)]
print(min(fcntl.fcntl(write, F_GETPIPE_SZ) for _, write in ends))
END`,
        { user: 'user' },
      );
      expect(stdout).toBe('200\n65536\n');
    } finally {
      await Promise.all([neighbour.remove(), greedy.remove()]);
    }
  });

  test('terminals are not used up for a neighbour', async () => {
    const [neighbour, greedy] = await Promise.all([its.start(), its.start({ memoryMiB: 512 })]);
    try {
      // More than the node had for all before the runner raised it.
      const { stdout } = await greedy.run(`python3 - <<'END'
import os, signal
if os.fork() > 0:
    os.wait(); os._exit(0)
held = []
try:
    while len(held) < 5000: held.append(os.open('/dev/ptmx', os.O_RDWR | os.O_NOCTTY))
except OSError: pass
print(len(held), flush=True)
if os.fork() == 0:
    os.setsid()
    for fd in (0, 1, 2): os.close(fd)
    signal.pause()
os._exit(0)
END`);
      expect(Number(stdout)).toBeGreaterThan(4096);
      expect((await neighbour.run('python3 -c "import os; print(len(os.openpty()))"')).stdout).toBe('2\n');
    } finally {
      await Promise.all([neighbour.remove(), greedy.remove()]);
    }
  });

  test('of those counted by user id alone, the node keeps half, and a neighbour’s commands still run', async () => {
    const [neighbour, greedy] = await Promise.all([its.start(), its.start()]);
    const queueSignals = `
import ctypes, os, signal
libc = ctypes.CDLL(None, use_errno=True)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
queued = 0
while queued < 200000 and libc.sigqueue(os.getpid(), int(signal.SIGRTMIN), None) == 0: queued += 1`;
    try {
      const { stdout } = await greedy.run(`ulimit -Hi; ulimit -Hq
python3 - <<'END'
${queueSignals}
print(queued, flush=True)
if os.fork() == 0: os._exit(0)
END
setsid python3 - > /dev/null 2>&1 <<'END' &
${queueSignals}
open('/tmp/queued', 'w').write(str(queued))
signal.pause()
END`);
      const [signalsMax = 0, queueBytesMax = 0, queued] = stdout.split('\n').map(Number);
      const own = await readFile('/proc/self/limits', 'utf8');
      const ownMax = (name: string): number =>
        Number(new RegExp(`${name}\\s+\\d+\\s+(\\d+)`).exec(own)?.[1] ?? Infinity);
      expect(signalsMax).toBeLessThanOrEqual(ownMax('Max pending signals') / 2);
      expect(queueBytesMax).toBeLessThanOrEqual(ownMax('Max msgqueue size') / 2);
      expect(queued).toBeLessThanOrEqual(signalsMax);
      await waitFor('them to be taken', async () => (await greedy.run('cat /tmp/queued')).stdout !== '', 10_000);
      // A timer needs such a signal of its own: the node's programs still get it.
      expect(
        await host('python3', '-c', 'import signal; signal.setitimer(signal.ITIMER_REAL, 1); print("armed")'),
      ).toBe('armed\n');
      const { exit } = await neighbour.run('sleep 100 & kill -9 $!; wait $!; [ $? = 137 ]');
      expect(exit.exitCode).toBe(0);
    } finally {
      await Promise.all([neighbour.remove(), greedy.remove()]);
    }
  });

  test('socket buffers of one sandbox are bounded, however many sockets it fills', async () => {
    const greedy = await its.start({ memoryMiB: 256 });
    try {
      const bytes = await greedy.python<number>(`
import json, socket
server = socket.create_server(('127.0.0.1', 9000), backlog=1000)
held, total = [], 0
for _ in range(400):
    try:
        near = socket.create_connection(('127.0.0.1', 9000), 2)
        far, _ = server.accept()
    except OSError: break
    near.setblocking(False)
    held += [near, far]
    try:
        while True: total += near.send(bytes(1 << 20))
    except OSError: pass
print(json.dumps(total))`);
      expect(bytes).toBeGreaterThan(1 << 20);
      // The limit of 64 MiB and what the kernel lets each socket have beyond it.
      expect(bytes).toBeLessThan(256 << 20);
    } finally {
      await greedy.remove();
    }
  });
});
