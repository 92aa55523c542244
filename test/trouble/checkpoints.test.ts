import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { imageTag } from '../../local/images.ts';
import type { SandboxOutcome, SandboxSpec } from '../../runner/protocol/jobs.ts';
import { openArchive, packArchive } from '../../runner/snapshots/archive.ts';
import { LayerGuard } from '../../runner/snapshots/layer-guard.ts';
import { newSandboxId, type Event } from '../runner/support/edge.ts';
import { attachment, processSpec, sandboxSpec } from '../runner/support/harness.ts';
import { startTestNode, type TestNode } from '../runner/support/node.ts';
import { waitFor } from '../wait-for.ts';
import { findCriu } from './criu/find-criu.ts';
import { PrivateEngine } from './private-engine.ts';

const criu = await findCriu();
const why = 'missing' in criu ? ` (skipped: ${criu.missing})` : '';

/** A real node on an engine of its own, whose checkpoints work. */
describe.skipIf(why !== '')(`with CRIU${why}`, () => {
  let engine: PrivateEngine;
  let node: TestNode;

  beforeAll(async () => {
    if ('missing' in criu) return;
    const image = imageTag('base');
    engine = await PrivateEngine.start({ liveRestore: false, criuFolder: criu.folder });
    await engine.copyImages([image]);
    node = await startTestNode({ DOCKER_HOST: `unix://${engine.socketPath}` });
    const pool = [{ template: 'base', image, network: 'off' as const, count: 0 }];
    node.plane.answer = { ...node.plane.answer, pool };
  });
  /** Also after a restart. */
  const probed = () => node.checkpoints();
  beforeEach(probed);
  afterAll(async () => {
    await node?.close();
    await engine?.remove();
  });

  const outcomeOf = (events: Event[]): SandboxOutcome => {
    const last = events.at(-1);
    if (last?.t !== 'result') throw new Error(`refused: ${JSON.stringify(last)} ${node.log().slice(-2000)}`);
    return last.value as SandboxOutcome;
  };
  const pause = async (sandboxId: string, revision: number) =>
    outcomeOf(await node.edge.call('sandbox.pause', { sandboxId }, { revision, memory: true }, 60_000));
  const resume = async (sandboxId: string, revision: number) =>
    outcomeOf(await node.edge.call('sandbox.resume', { sandboxId }, { revision, ttlMs: 120_000 }, 60_000));
  const shell = (script: string, rest: object = {}) =>
    processSpec({ command: { kind: 'shell', script, login: false }, ...rest });
  const textOf = (events: Event[]) => events.map(({ bytes }) => String(bytes ?? '')).join('');
  const run = async (sandboxId: string, script: string, user = 'user') =>
    textOf(await node.edge.call('process.start', { sandboxId }, { spec: shell(script, { user }), attach: attachment }));
  /** Where the engine keeps what it has written of the youngest container; undefined where there is nothing. */
  const checkpointFolder = async () => {
    const [container] = await engine.docker.listContainers({ all: true });
    const { ResolvConfPath } = await engine.docker.getContainer(container?.Id ?? '').inspect();
    const folder = join(ResolvConfPath, '../checkpoints');
    return (await readdir(folder).catch(() => [])).length > 0 ? folder : undefined;
  };
  const connected = `python3 -c "
import socket, threading, time
server = socket.create_server(('127.0.0.1', 0))
client = socket.create_connection(server.getsockname())
server.accept()
print('connected', flush=True)
time.sleep(600)"`;
  const connect = async (sandboxId: string) => {
    const work = { spec: shell(connected), attach: attachment };
    const channel = await node.edge.deliver('process.start', { sandboxId }, work);
    await node.edge.until(channel, (events) => textOf(events).includes('connected'));
  };
  const counter = 'n=0; while sleep 0.05; do n=$((n+1)); echo $n; done';
  /** On its way when its call has ended: what comes next may read of it at once. */
  const counting = `(${counter}) > /workspace/count 2>&1 < /dev/null & until [ -s /workspace/count ]; do sleep 0.01; done`;
  const counted = 'wc -l < /workspace/count';
  const goesOn = `n=$(${counted}); until [ $(${counted}) -gt $n ]; do sleep 0.05; done; echo goes on`;
  const consistent = "awk 'NR != $1 { exit 1 }' /workspace/count && echo consistent";

  test('the heartbeat says that they work', async () => {
    await waitFor('a beat after it', () => node.plane.beats.at(-1)?.checkpoint !== 'freeze', 15_000);
    expect(node.plane.beats.at(-1)?.checkpoint).toBe('criu');
  });

  test('a pause frees the memory; resumed, a plain user’s process goes on where it was, and so does its reader', async () => {
    const sandboxId = await node.create();
    const channel = await node.edge.deliver(
      'process.start',
      { sandboxId },
      { spec: shell(counter, { pty: { cols: 80, rows: 24 } }), attach: attachment },
    );
    await node.edge.until(channel, (events) => textOf(events).includes('5\r\n'));
    expect(await pause(sandboxId, 2)).toMatchObject({ memoryKept: true, memoryFreed: true });
    const folder = await checkpointFolder();
    expect((await stat(folder ?? '')).mode & 0o077).toBe(0); // all that was in memory
    const before = textOf(node.edge.events(channel)).trimEnd().split('\r\n').length;
    expect(await resume(sandboxId, 3)).toMatchObject({ state: 'running', memoryKept: true });
    expect(await checkpointFolder()).toBeUndefined();
    const lines = (events: Event[]) => textOf(events).trimEnd().split('\r\n');
    const events = await node.edge.until(channel, (all) => lines(all).length > before + 5);
    expect(lines(events).slice(0, before + 5)).toEqual(
      Array.from({ length: before + 5 }, (_, index) => `${index + 1}`),
    );
    await node.edge.call('sandbox.kill', { sandboxId }, { revision: 4, graceMs: 0 });
  });

  test('what confines a sandbox confines it after a restore as before', async () => {
    const sandboxId = await node.create();
    const facts = [
      'grep -E "^(Seccomp|NoNewPrivs|Cap)" /proc/self/status',
      'ulimit -Ha',
      'wc -c < /proc/keys; stat -c %t:%T /proc/kcore',
      'touch /proc/sys/kernel/domainname /.glovebox/x /.glovebox-run/x 2>&1',
      'cut -d" " -f4- /proc/self/mountinfo | sed "s/ master:[0-9]*//" | sort',
      'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids/pids.max 2>/dev/null',
    ].join('; ');
    const before = [await run(sandboxId, facts, 'root'), await run(sandboxId, facts)];
    await pause(sandboxId, 2);
    await resume(sandboxId, 3);
    const after = [await run(sandboxId, facts, 'root'), await run(sandboxId, facts)];
    expect(after).toEqual(before);
    await node.edge.call('sandbox.kill', { sandboxId }, { revision: 4, graceMs: 0 });
  });

  test('what can’t be written (a connection within the sandbox) is frozen instead, and goes on', async () => {
    const sandboxId = await node.create();
    await connect(sandboxId);
    expect(await pause(sandboxId, 2)).toMatchObject({ memoryKept: true, memoryFreed: false });
    await resume(sandboxId, 3);
    expect(await run(sandboxId, 'echo on')).toBe('on\n');
    await node.edge.call('sandbox.kill', { sandboxId }, { revision: 4, graceMs: 0 });
  });

  test('after kill -9 the next life restores it; a kill leaves nothing on the disk', async () => {
    const sandboxId = await node.create();
    await run(sandboxId, counting);
    await pause(sandboxId, 2);
    const [own] = await engine.docker.listContainers({ all: true });
    await node.stop('SIGKILL');
    await node.start();
    expect(await resume(sandboxId, 3)).toMatchObject({ memoryKept: true });
    expect(await run(sandboxId, goesOn)).toBe('goes on\n');
    await node.edge.call('sandbox.kill', { sandboxId }, { revision: 4, graceMs: 0 });
    const left = await engine.docker.listContainers({ all: true }); // the probe of the new life may be among them
    expect(left.map(({ Id }) => Id)).not.toContain(own?.Id ?? 'none');
  });

  const snapshot = async (sandboxId: string, revision: number, memory = true) => {
    const named = { snapshotId: randomBytes(16).toString('hex'), key: randomBytes(32).toString('base64') };
    const job = { revision, ...named, passEnvironment: true, memory };
    const { state, snapshot: taken } = outcomeOf(await node.edge.call('sandbox.snapshot', { sandboxId }, job, 60_000));
    if (!taken) throw new Error('no snapshot was taken');
    return { state, taken, source: { ...named, id: named.snapshotId, ...taken, url: null, inheritEnvironment: true } };
  };
  /** Answers what the runner said of it, too. */
  const boot = async (source: Awaited<ReturnType<typeof snapshot>>['source'], more: Partial<SandboxSpec> = {}) => {
    const sandboxId = newSandboxId();
    const { id, key, sizeBytes, url, inheritEnvironment, image } = source;
    const spec = sandboxSpec({
      template: { name: 'base', image },
      snapshot: { id, key, sizeBytes, url, inheritEnvironment },
      ...more,
    });
    const outcome = outcomeOf(await node.edge.call('sandbox.create', { sandboxId }, { revision: 1, spec }, 60_000));
    return { sandboxId, outcome };
  };
  const kill = (sandboxId: string) => node.edge.call('sandbox.kill', { sandboxId }, { revision: 99, graceMs: 0 });

  test('what boots from a snapshot goes on with its processes and files of one moment, each copy by itself', async () => {
    const sandboxId = await node.create({ env: { FROM: 'the first' } });
    await run(sandboxId, counting);
    const channel = await node.edge.deliver(
      'process.start',
      { sandboxId },
      { spec: shell('read -r line; echo "heard $line in $FROM"', { pty: { cols: 80, rows: 24 } }), attach: attachment },
    );
    await node.edge.until(channel, (events) => events.some(({ t }) => t === 'started'));
    const { state, taken, source } = await snapshot(sandboxId, 2);
    expect([state, taken.memoryKept]).toEqual(['running', true]);
    expect(await checkpointFolder()).toBeUndefined(); // all that was in memory
    expect(await run(sandboxId, goesOn)).toBe('goes on\n');
    expect((await snapshot(sandboxId, 3, false)).taken.memoryKept).toBe(false);

    const copies = await Promise.all([boot(source), boot(source, { memoryMiB: 700, cpus: 0.5 })]);
    for (const copy of copies) {
      expect(copy.outcome).toMatchObject({ state: 'running', memoryKept: true });
      expect(await run(copy.sandboxId, goesOn)).toBe('goes on\n');
      expect(await run(copy.sandboxId, consistent)).toBe('consistent\n');
      // The one that reads its terminal does so in each of them; a new one has the environment.
      expect(await run(copy.sandboxId, 'pgrep -fc "[r]ead -r line"; echo $FROM')).toBe('1\nthe first\n');
    }
    const limit = await run(
      copies[1].sandboxId,
      'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null',
    );
    expect(Number(limit)).toBe(700 * 1024 * 1024);
    expect(await run(sandboxId, consistent)).toBe('consistent\n');
    expect(await pause(copies[0].sandboxId, 2)).toMatchObject({ memoryKept: true, memoryFreed: true });
    expect(await resume(copies[0].sandboxId, 3)).toMatchObject({ memoryKept: true });
    expect(await run(copies[0].sandboxId, goesOn)).toBe('goes on\n');
    await Promise.all([sandboxId, ...copies.map((copy) => copy.sandboxId)].map(kill));
  });

  test('a command that prints much loses nothing of it to a snapshot, nor to a pause', async () => {
    const sandboxId = await node.create();
    const total = 8_000_000;
    const spec = shell(`head -c ${total} /dev/zero`);
    const channel = await node.edge.deliver('process.start', { sandboxId }, { spec, attach: attachment });
    const received = (events: Event[]) => events.reduce((sum, { bytes }) => sum + (bytes?.length ?? 0), 0);
    let granted = attachment.creditBytes;
    const readOn = async (bytes: number) => {
      await node.edge.say({ c: channel, t: 'credit', bytes });
      granted += bytes;
      await node.edge.until(channel, (events) => received(events) === Math.min(granted, total));
    };
    await node.edge.until(channel, (events) => received(events) === granted);
    expect((await snapshot(sandboxId, 2)).taken.memoryKept).toBe(true);
    await readOn(attachment.creditBytes);
    expect(await pause(sandboxId, 3)).toMatchObject({ memoryKept: true, memoryFreed: true });
    expect(await resume(sandboxId, 4)).toMatchObject({ memoryKept: true });
    for (let left = total - granted; left > 0; left -= 1_000_000) await readOn(1_000_000);
    const events = await node.edge.until(channel, (all) => all.at(-1)?.t === 'exit');
    expect(new Set(events.map(({ t }) => t))).toEqual(new Set(['accepted', 'started', 'data', 'exit']));
    await kill(sandboxId);
  });

  const restart = async (env: Record<string, string> = {}) => {
    await node.stop('SIGTERM');
    await node.start(env);
  };
  test.each([false, true])('a paused one stays so, and what was in its memory boots (on disk: %s)', async (onDisk) => {
    if (!onDisk) await restart({ GLOVEBOX_CHECKPOINTS: 'off' });
    const sandboxId = await node.create();
    await run(sandboxId, counting);
    expect(await pause(sandboxId, 2)).toMatchObject({ memoryKept: true, memoryFreed: onDisk });
    if (!onDisk) await restart();
    await probed();
    const { state, taken, source } = await snapshot(sandboxId, 3);
    expect([state, taken.memoryKept]).toEqual(['paused', true]);
    const copy = await boot(source);
    expect(copy.outcome).toMatchObject({ memoryKept: true });
    expect(await run(copy.sandboxId, goesOn)).toBe('goes on\n');
    expect(await resume(sandboxId, 4)).toMatchObject({ memoryKept: true });
    expect(await run(sandboxId, goesOn)).toBe('goes on\n');
    await Promise.all([sandboxId, copy.sandboxId].map(kill));
  });

  test('what can’t be written down is a snapshot of its files, and says so; the sandbox goes on', async () => {
    const sandboxId = await node.create();
    await connect(sandboxId);
    await run(sandboxId, counting);
    const { state, taken, source } = await snapshot(sandboxId, 2);
    expect([state, taken.memoryKept]).toEqual(['running', false]);
    expect(await run(sandboxId, goesOn)).toBe('goes on\n');
    const copy = await boot(source);
    expect(copy.outcome).toMatchObject({ memoryKept: false });
    expect(await run(copy.sandboxId, `test -s /workspace/count && ! pgrep -f '[c]reate_server'; echo $?`)).toBe('0\n');
    await Promise.all([sandboxId, copy.sandboxId].map(kill));
  });

  test('what can’t be brought back begins with its files, and says so', async () => {
    const sandboxId = await node.create();
    await run(sandboxId, 'echo kept > /workspace/file');
    const held = `python3 -c "held = b'x' * (150 << 20); print(len(held), flush=True); import time; time.sleep(600)"`;
    const channel = await node.edge.deliver('process.start', { sandboxId }, { spec: shell(held), attach: attachment });
    await node.edge.until(channel, (events) => textOf(events).includes('157286400'));
    const { taken, source } = await snapshot(sandboxId, 2);
    expect(taken.memoryKept).toBe(true);
    const copy = await boot(source, { memoryMiB: 96 });
    expect(copy.outcome).toMatchObject({ state: 'running', memoryKept: false });
    expect(await run(copy.sandboxId, 'cat /workspace/file')).toBe('kept\n');
    await Promise.all([sandboxId, copy.sandboxId].map(kill));
  });

  test('memory that forked processes share would be written for each of them: more than that takes is frozen', async () => {
    const sandboxId = await node.create();
    const forks = `python3 -c "
import os, time
held = b'x' * (150 << 20)
for _ in range(7):
    if os.fork() == 0: time.sleep(600)
print('forked', flush=True)
time.sleep(600)"`;
    const channel = await node.edge.deliver('process.start', { sandboxId }, { spec: shell(forks), attach: attachment });
    await node.edge.until(channel, (events) => textOf(events).includes('forked'));
    expect(await pause(sandboxId, 2)).toMatchObject({ memoryKept: true, memoryFreed: false });
    expect(await resume(sandboxId, 3)).toMatchObject({ memoryKept: true });
    await kill(sandboxId);
  });

  test('a checkpoint that a crash has left as the engine wrote it is restored without the node’s device', async () => {
    const sandboxId = await node.create();
    const { Id: containerId } = (await engine.docker.listContainers())[0] ?? { Id: '' };
    await pause(sandboxId, 2);
    const folder = join((await checkpointFolder()) ?? '', 'glovebox');
    const lists = (await readdir(folder)).filter((name) => name.startsWith('mountpoints-'));
    expect(lists).toHaveLength(1);
    const asWritten = await readFile(join(folder, lists[0] ?? ''), 'latin1');
    expect(asWritten).toContain('/dev/null');
    expect(await resume(sandboxId, 3)).toMatchObject({ memoryKept: true });
    const { State } = await engine.docker.getContainer(containerId).inspect();
    const masks = (await readFile(`/proc/${State.Pid}/mountinfo`, 'utf8'))
      .split('\n')
      .filter((line) => / \/null /.test(line));
    expect(masks.length).toBeGreaterThan(0);
    expect(masks.filter((line) => line.includes('devtmpfs'))).toEqual([]);
    await kill(sandboxId);
  });

  test.each(['confinement', 'processor'] as const)(
    'what began with another %s does not go on: its files do',
    async (fact) => {
      const sandboxId = await node.create();
      await run(sandboxId, `echo kept > /workspace/file; ${counting}`);
      const { taken, source } = await snapshot(sandboxId, 2);
      expect(taken.memoryKept).toBe(true);
      const path = join(node.dataDir, 'snapshots', `${source.id}.sealed`);
      const key = Buffer.from(source.key, 'base64');
      const limits = { bytes: 1 << 30, entries: 100_000 };
      const archive = await openArchive(key, createReadStream(path), limits);
      const { version: _, ...head } = archive.head;
      if (!head.memory) throw new Error('it has no memory');
      const other = { ...head, memory: { ...head.memory, [fact]: 'another' } };
      const content = { layer: archive.layer, memory: archive.memory };
      await writeFile(`${path}.other`, packArchive(key, other, content, new LayerGuard(limits)));
      await rename(`${path}.other`, path);
      const copy = await boot(source);
      expect(copy.outcome).toMatchObject({ state: 'running', memoryKept: false });
      expect(await run(copy.sandboxId, 'cat /workspace/file; pgrep -fc "[s]leep 0.05"; true')).toBe('kept\n0\n');
      await Promise.all([sandboxId, copy.sandboxId].map(kill));
    },
  );

  test('a command’s time is up in a copy when it would have been in the first', async () => {
    const sandboxId = await node.create();
    const spec = shell('sleep 600', { timeoutMs: 30_000 });
    const channel = await node.edge.deliver('process.start', { sandboxId }, { spec, attach: attachment });
    await node.edge.until(channel, (events) => events.some(({ t }) => t === 'started'));
    const { source } = await snapshot(sandboxId, 2);
    const copy = await boot(source);
    expect(copy.outcome).toMatchObject({ memoryKept: true });
    const runs = () => run(copy.sandboxId, 'pgrep -fc "^[s]leep 600"; true');
    expect(await runs()).toBe('1\n');
    await waitFor('its end', async () => (await runs()) === '0\n', 60_000, 500);
    await Promise.all([sandboxId, copy.sandboxId].map(kill));
  }, 180_000);

  test('root in a restored sandbox cannot change a device of the node’s, whatever it has done to its own before', async () => {
    const before = await stat('/dev/null');
    const sandboxId = await node.create();
    const hostile = 'mv /dev/null /dev/moved; grep -c " /null \\| /moved " /proc/self/mountinfo';
    const masks = Number(await run(sandboxId, hostile, 'root'));
    expect(masks).toBeGreaterThan(0);
    await pause(sandboxId, 2);
    expect(await resume(sandboxId, 3)).toMatchObject({ memoryKept: true });
    const harm =
      'grep " /moved " /proc/self/mountinfo | cut -d" " -f5 | while read -r mask; do chmod 600 "$mask" && chown 1000 "$mask" && echo done; done';
    expect((await run(sandboxId, harm, 'root')).trim().split('\n')).toHaveLength(masks);
    const after = await stat('/dev/null');
    expect([after.mode, after.uid]).toEqual([before.mode, before.uid]);
    await node.edge.call('sandbox.kill', { sandboxId }, { revision: 4, graceMs: 0 });
  });

  test('with the network on it is restored within its rules, at its address, and apart from its neighbours; so is a copy', async () => {
    const program = join(import.meta.dirname, 'criu/restored-network.ts');
    const seen: unknown = JSON.parse(await engine.runInNetwork(process.execPath, [program], 120_000));
    expect(seen).toEqual({
      confinesFromStart: true,
      keepsItsAddress: true,
      aheadOfRules: [0, 0, 0],
      byNeighbour: [],
      sendsOnceAllowed: true,
      copy: { aheadOfRules: 0, sendsOnceAllowed: true },
    });
  });
});
