import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { imageTag } from '../../local/images.ts';
import type { SandboxMetrics, SandboxOutcome } from '../../runner/protocol/jobs.ts';
import type { Event } from '../runner/support/edge.ts';
import { attachment, processSpec } from '../runner/support/harness.ts';
import { startTestNode, type TestNode } from '../runner/support/node.ts';
import { waitFor } from '../wait-for.ts';
import { findRunsc } from './gvisor/find-runsc.ts';
import { PrivateEngine } from './private-engine.ts';

const runsc = await findRunsc();
const why = 'missing' in runsc ? ` (skipped: ${runsc.missing})` : '';
const mib = 1024 * 1024;
/** More than a sandbox writes below, less than the one that is to be evicted. */
const diskLimitMiB = 200;

/** A real node on an engine of its own, whose sandboxes run under gVisor; with the network off, as the node is in another one than the engine. */
describe.skipIf(why !== '')(`with gVisor${why}`, () => {
  let engine: PrivateEngine;
  let node: TestNode;

  beforeAll(async () => {
    if ('missing' in runsc) return;
    const { path } = runsc;
    const image = imageTag('base');
    const offline = '--network=none';
    engine = await PrivateEngine.start({
      liveRestore: false,
      runtimes: {
        runsc: { path, runtimeArgs: [offline, '--host-uds=open', '--overlay2=none'] },
        'runsc-online': { path, runtimeArgs: ['--network=host', '--host-uds=open', '--overlay2=none'] },
        'runsc-overlay': { path, runtimeArgs: [offline, '--host-uds=open', '--overlay2=root:self'] },
        'runsc-closed': { path, runtimeArgs: [offline, '--overlay2=none'] },
      },
    });
    await engine.copyImages([image]);
    const env = { DOCKER_HOST: `unix://${engine.socketPath}`, GLOVEBOX_DISK_LIMIT_MIB: String(diskLimitMiB) };
    node = await startTestNode({ ...env, GLOVEBOX_RUNTIME: 'runsc' });
    const pool = [{ template: 'base', image, network: 'off' as const, count: 0 }];
    node.plane.answer = { ...node.plane.answer, pool };
    await waitFor('a beat that takes sandboxes', () => (node.plane.beats.at(-1)?.sandboxLimit ?? 0) > 0, 60_000);
    await node.checkpoints();
    await waitFor('checkpoints in a beat', () => node.plane.beats.at(-1)?.checkpoint === 'gvisor', 60_000);
  });
  afterAll(async () => {
    await node?.close();
    await engine?.remove();
  });

  const shell = (script: string, rest: object = {}) =>
    processSpec({ command: { kind: 'shell', script, login: false }, ...rest });
  const textOf = (events: Event[]) => events.map(({ bytes }) => String(bytes ?? '')).join('');
  const exec = (sandboxId: string, script: string, rest: object = {}) =>
    node.edge.call('process.start', { sandboxId }, { spec: shell(script, rest), attach: attachment }, 60_000);
  const run = async (sandboxId: string, script: string, rest: object = {}) =>
    textOf(await exec(sandboxId, script, rest));
  const begin = (sandboxId: string, script: string, rest: object = {}) =>
    node.edge.deliver('process.start', { sandboxId }, { spec: shell(script, rest), attach: attachment });
  const valueOf = (events: Event[]): unknown => {
    const last = events.at(-1);
    if (last?.t !== 'result') throw new Error(`refused: ${JSON.stringify(last)} ${node.log().slice(-2000)}`);
    return last.value;
  };
  const change = async (
    name: 'sandbox.pause' | 'sandbox.resume' | 'sandbox.snapshot',
    sandboxId: string,
    rest: object,
  ) => valueOf(await node.edge.call(name, { sandboxId }, rest, 60_000)) as SandboxOutcome;
  const pause = (sandboxId: string, revision: number, memory = true) =>
    change('sandbox.pause', sandboxId, { revision, memory });
  const resume = (sandboxId: string, revision: number, memory = true) =>
    change('sandbox.resume', sandboxId, { revision, ttlMs: 120_000, memory });
  const metrics = async (sandboxId: string) =>
    valueOf(await node.edge.call('sandbox.metrics', { sandboxId }, {})) as SandboxMetrics;
  const kill = (sandboxId: string) => node.edge.call('sandbox.kill', { sandboxId }, { revision: 99, graceMs: 0 });
  const endOf = (sandboxId: string) =>
    waitFor(
      `the end of ${sandboxId}`,
      () => {
        const seen = node.plane.beats.at(-1)?.sandboxes.find((sandbox) => sandbox.sandboxId === sandboxId);
        return seen?.state === 'ended' && seen.endReason;
      },
      40_000,
    );

  test('commands run in a kernel that is not the node’s: output, exit codes, users, deadlines, terminals', async () => {
    const sandboxId = await node.create();
    const release = (await readFile('/proc/sys/kernel/osrelease', 'utf8')).trim();
    expect(node.plane.beats.at(-1)?.runtime).toBe('runsc');
    expect(await run(sandboxId, 'uname -r')).not.toContain(release);
    const failing = await exec(sandboxId, 'echo out; echo err >&2; id -un; exit 3', { user: 'root' });
    expect(failing.at(-1)).toMatchObject({ t: 'exit', exit: { exitCode: 3, reason: 'exited' } });
    expect(textOf(failing).trim().split('\n').toSorted()).toEqual(['err', 'out', 'root']);
    const late = await exec(sandboxId, 'sleep 611 & sleep 611', { timeoutMs: 300 });
    expect(late.at(-1)).toMatchObject({ t: 'exit', exit: { reason: 'deadline' } });
    expect(await run(sandboxId, 'while pgrep -f "sleep 61[1]" > /dev/null; do sleep 0.05; done; echo none')).toBe(
      'none\n',
    );
    const pty = { pty: { cols: 91, rows: 17 }, stdin: 'pipe', stdinBase64: btoa('words\n') };
    const terminal = await exec(sandboxId, 'stty size; read line; echo "heard $line"; tty', pty);
    expect(textOf(terminal)).toMatch(/17 91[^]*heard words\r\n\/dev\/pts\/\d/);
    await kill(sandboxId);
  });

  test('a pause frees the memory; resumed, processes go on where they were; without memory the files stay', async () => {
    const sandboxId = await node.create();
    const counter = 'n=0; while sleep 0.05; do n=$((n+1)); echo $n; echo $n > /tmp/next; mv /tmp/next /tmp/count; done';
    const channel = await begin(sandboxId, counter, { pty: { cols: 80, rows: 24 } });
    await node.edge.until(channel, (events) => textOf(events).includes('5\r\n'));
    await run(sandboxId, 'echo kept > /tmp/kept');
    expect(await pause(sandboxId, 2)).toMatchObject({ memoryKept: true, memoryFreed: true });
    const lines = (events: Event[]) => textOf(events).trimEnd().split('\r\n');
    const before = lines(node.edge.events(channel)).length;
    await node.stop('SIGKILL'); // the next life restores it as well
    await node.start();
    expect(await resume(sandboxId, 3)).toMatchObject({ state: 'running', memoryKept: true });
    const goesOn = `n=$(cat /tmp/count); until [ "$(cat /tmp/count)" -gt "$n" ]; do sleep 0.02; done; echo $n`;
    expect(Number(await run(sandboxId, goesOn))).toBeGreaterThanOrEqual(before);
    expect(await pause(sandboxId, 4, false)).toMatchObject({ memoryKept: false });
    await resume(sandboxId, 5);
    expect(await run(sandboxId, 'cat /tmp/kept; pgrep -xc sleep')).toBe('kept\n0\n');
    await node.stop('SIGTERM'); // the probe's word, not the last life's
    await node.start();
    await waitFor('checkpoints again', () => node.plane.beats.at(-1)?.checkpoint === 'gvisor', 60_000);
    expect(await pause(sandboxId, 6)).toMatchObject({ memoryFreed: true });
    expect(await resume(sandboxId, 7, false)).toMatchObject({ state: 'running', memoryKept: false });
    expect(await run(sandboxId, 'cat /tmp/kept')).toBe('kept\n');
    await kill(sandboxId);
  });

  test('without checkpoints it is frozen: nothing runs until it goes on', async () => {
    await node.stop('SIGTERM');
    await node.start({ GLOVEBOX_CHECKPOINTS: 'off' });
    const sandboxId = await node.create();
    await begin(sandboxId, 'while sleep 0.02; do date +%s%N > /tmp/now; done');
    await run(sandboxId, 'until [ -s /tmp/now ]; do sleep 0.02; done');
    expect(await pause(sandboxId, 2)).toMatchObject({ memoryKept: true, memoryFreed: false });
    const [container] = await engine.docker.listContainers({ filters: { status: ['paused'] } });
    expect(container?.State).toBe('paused');
    await resume(sandboxId, 3);
    expect(
      await run(sandboxId, 'old=$(cat /tmp/now); until [ "$(cat /tmp/now)" != "$old" ]; do sleep 0.02; done; echo on'),
    ).toBe('on\n');
    await kill(sandboxId);
  });

  const counted =
    'n=0; while sleep 0.05; do n=$((n+1)); echo $n; done > /tmp/count 2>&1 < /dev/null & until [ -s /tmp/count ]; do sleep 0.01; done';
  const goesOn = 'n=$(wc -l < /tmp/count); until [ $(wc -l < /tmp/count) -gt $n ]; do sleep 0.05; done; echo goes on';
  const consistent = "awk 'NR != $1 { exit 1 }' /tmp/count && echo consistent";

  test('a snapshot has all that was written, in /tmp too, and what was deleted; what runs goes on in what boots', async () => {
    await node.stop('SIGTERM');
    await node.start();
    await waitFor('checkpoints again', () => node.plane.beats.at(-1)?.checkpoint === 'gvisor', 60_000);
    const sandboxId = await node.create();
    const make =
      'echo one > /tmp/one; mkdir -m 0710 d; echo two > d/two; touch -d 2001-02-03T04:05:06Z d/two; ln -s two d/link; rm /etc/issue';
    await run(sandboxId, `${counted}; cd /home/user; ${make}`, { user: 'root' });
    await run(sandboxId, goesOn);
    const key = randomBytes(32).toString('base64');
    const id = randomBytes(16).toString('hex');
    const asked = { revision: 2, snapshotId: id, key, passEnvironment: false, memory: true };
    const taken = await change('sandbox.snapshot', sandboxId, asked);
    if (taken.snapshot === undefined) throw new Error('no snapshot was taken');
    const { sizeBytes, image, memoryKept } = taken.snapshot;
    expect([taken.state, memoryKept]).toEqual(['running', true]);
    const snapshot = { id, key, sizeBytes, url: null, inheritEnvironment: false };
    const child = await node.create({ template: { name: 'base', image }, snapshot });
    const look =
      'cat /tmp/one d/link; stat -c "%a %U" d; date -u -r d/two +%FT%T; ls /etc/issue 2>&1 | grep -c "No such"';
    expect(await run(child, `cd /home/user; ${look}`, { user: 'root' })).toBe(
      'one\ntwo\n710 root\n2001-02-03T04:05:06\n1\n',
    );
    for (const each of [sandboxId, child]) {
      expect(await run(each, `${goesOn}; ${consistent}`)).toBe('goes on\nconsistent\n');
      await kill(each);
    }
  });

  test('usage is read on the node: memory, CPU, disk, unlinked files that are held open too', async () => {
    const sandboxId = await node.create();
    const before = await metrics(sandboxId);
    expect(before).toMatchObject({ cpus: 2, memoryLimitBytes: 512 * mib, diskLimitBytes: diskLimitMiB * mib });
    const hoard = `python3 -c "
import os, signal
memory = bytearray(os.urandom(1 << 20) * 100)
held = open('/tmp/held', 'wb'); os.unlink('/tmp/held'); held.write(bytes(60 << 20)); held.flush()
print('filled', flush=True)
signal.pause()"`;
    const channel = await begin(sandboxId, hoard);
    await node.edge.until(channel, (events) => textOf(events).includes('filled'));
    const used = await waitFor(
      'the disk to be measured',
      async () => {
        const now = await metrics(sandboxId);
        return now.diskUsedBytes > 50 * mib && now;
      },
      20_000,
    );
    expect(used.memoryUsedBytes - before.memoryUsedBytes).toBeGreaterThan(90 * mib);
    expect(used.cpuSeconds).toBeGreaterThan(before.cpuSeconds);
    await kill(sandboxId);
  });

  test('one ends for what it did: over its memory, over its disk, at its time, out of processes; its neighbour runs on', async () => {
    const neighbour = await node.create();
    const [eater, hoarder, bomb] = [await node.create(), await node.create(), await node.create()];
    const brief = await node.create({ ttlMs: 1_000 });
    await begin(eater, 'python3 -c "import os; x = os.urandom(1 << 20) * 700"');
    await begin(
      hoarder,
      `head -c ${diskLimitMiB - 50}M /dev/zero > /tmp/a; head -c 100M /dev/zero > /home/user/b; sleep 600`,
    );
    await begin(bomb, 'f() { f | f & }; f');
    expect(await endOf(eater)).toBe('oom');
    expect(await endOf(hoarder)).toBe('evicted');
    expect(await endOf(brief)).toBe('timeout');
    // gVisor’s own kernel ends where the node gives it no more tasks, or no more memory.
    expect(['failed', 'oom']).toContain(await endOf(bomb));
    expect(await run(neighbour, 'echo runs on')).toBe('runs on\n');
    await kill(neighbour);
  });

  test('as many processes as may run at once do', async () => {
    const sandboxId = await node.create();
    const started = 'for n in $(seq 200); do [ $(pgrep -xc sleep) = 250 ] && break; read -t 0.1 < <(:); done';
    const many = `for n in $(seq 250); do sleep 600 & done; ${started}; pgrep -xc sleep; kill $(jobs -p)`;
    expect(await run(sandboxId, many)).toBe('250\n');
    await kill(sandboxId);
  });

  test('network rules hold on the node’s stack, also after a try at a checkpoint; a runtime without a network offers none', async () => {
    const args = [join(import.meta.dirname, 'gvisor/network.ts'), 'runsc'];
    const said = await engine.runInNetwork(process.execPath, args, 120_000, { GLOVEBOX_RUNTIME: 'runsc-online' });
    expect(JSON.parse(said)).toEqual({
      free: ['reached', 'reached', 'reached'],
      ruled: ['refused', 'reached', 'reached'],
      denied: ['refused'],
      beside: [expect.not.stringMatching('reached')],
      namesResolver: true,
      afterwards: ['refused', 'reached'],
      kinds: ['gvisor', 'gvisor'],
      online: true,
      none: false,
      offers: ['off'],
      refused: true,
    });
  }, 120_000);

  test('under settings that lose files, or let no agent out, no sandbox is begun, and the log says what to set', async () => {
    const said: string[] = [];
    for (const [runtime, setting] of [
      ['runsc-overlay', '--overlay2=none'],
      ['runsc-closed', '--host-uds=open'],
    ] as const) {
      await node.stop('SIGTERM');
      await node.start({ GLOVEBOX_RUNTIME: runtime });
      const line = () => /.*"event":"runtime_unusable".*/.exec(node.log())?.[0];
      said.push(await waitFor('its word', line, 60_000));
      expect(said.at(-1)).toContain(setting);
      expect(node.plane.beats.at(-1)).toMatchObject({ runtime, sandboxLimit: 0, warm: [] });
    }
    await node.stop('SIGTERM');
    await expect(node.start({ GLOVEBOX_RUNTIME: 'kata' })).rejects.toThrow(
      /no runtime named kata.*runsc.*daemon\.json/,
    );
    await node.start();
  }, 120_000);
});
