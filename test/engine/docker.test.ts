import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { prepareAgentFolder } from '../../runner/agent/bundle.ts';
import { createDockerEngine } from '../../runner/engine/docker.ts';
import { dockerSocketPath } from '../../runner/engine/docker-client.ts';
import type { ContainerEvent } from '../../runner/engine/port.ts';
import { createLogger } from '../../runner/log.ts';
import { host, startTestEngine, type TestEngine } from '../security/sandbox.ts';
import { waitFor } from '../wait-for.ts';

let its: TestEngine;
let other: TestEngine;
const signal = AbortSignal.timeout(300_000);

beforeAll(async () => {
  its = await startTestEngine();
  other = await startTestEngine();
});
afterAll(async () => {
  await its?.dispose();
  await other?.dispose();
});

function request(over: object = {}) {
  const slot = randomBytes(8).toString('hex');
  const size = { cpus: 1, memoryMiB: 128, diskMiB: 64 };
  return { slot, image: 'glovebox/base:latest', network: 'off' as const, socketDir: tmpdir(), ...size, ...over };
}

describe('start', () => {
  test('makes a container that list tells as running, with the image’s environment beside it', async () => {
    const container = await its.engine.start(request(), signal);
    expect(container.imageEnv['PATH']).toContain('/usr/bin');
    const { id, slot } = container;
    expect(await its.engine.list()).toEqual([{ id, slot, state: 'running' }]);
    await its.engine.remove(id);
    expect(await its.engine.list()).toEqual([]);
  });

  test('of an image that the node lacks fails as template_unavailable and leaves nothing', async () => {
    await expect(its.engine.start(request({ image: 'gbx-none:1' }), signal)).rejects.toMatchObject({
      code: 'template_unavailable',
    });
    expect(await its.engine.list()).toEqual([]);
  });

  test('of a slot that is in use fails and leaves the first alone', async () => {
    const first = request();
    const container = await its.engine.start(first, signal);
    await expect(its.engine.start(first, signal)).rejects.toMatchObject({
      code: 'engine_failed',
      message: expect.stringContaining('in use'),
    });
    expect(await its.engine.list()).toHaveLength(1);
    await its.engine.remove(container.id);
  });

  test('that is aborted, before or while it runs, leaves nothing', async () => {
    await expect(its.engine.start(request(), AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
    const abort = new AbortController();
    const label = [`glovebox.installation=${its.installationId}`];
    const starting = its.engine.start(request(), abort.signal);
    await waitFor(
      'the container to be made',
      async () => (await its.docker.listContainers({ all: true, filters: { label } })).length > 0,
      10_000,
      1,
    );
    abort.abort(new Error('enough'));
    await expect(starting).rejects.toThrow('enough');
    expect(await its.engine.list()).toEqual([]);
  });

  test('without the socket’s directory fails and leaves nothing', async () => {
    await expect(its.engine.start(request({ socketDir: '/nowhere/at/all' }), signal)).rejects.toMatchObject({
      code: 'engine_failed',
    });
    expect(await its.engine.list()).toEqual([]);
  });

  test('of an image in which nothing can run tells so', async () => {
    const image = `gbx-test-${its.installationId}:empty`;
    await host(
      'sh',
      '-c',
      `printf nothing > /tmp/${its.installationId} && tar -C /tmp -cf - ${its.installationId} | docker import - ${image}; rm /tmp/${its.installationId}`,
    );
    try {
      // The agent's tini is static and starts; Bun finds no C library, which tini tells by its exit code.
      const outcome = await its.engine.start(request({ image }), signal).then(
        async ({ id }) => {
          const exit = await waitFor('its end', () => its.engine.findExit(id), 10_000);
          await its.engine.remove(id);
          return exit.unsupported;
        },
        (error: { code: string; message: string }) => (error.code === 'image_unsupported' ? error.message : error.code),
      );
      expect(outcome).toContain('glibc');
    } finally {
      await its.docker.getImage(image).remove();
    }
  });
});

describe('a running container', () => {
  test('is paused and woken; repeating either is fine; a paused one can be removed', async () => {
    const { id } = await its.engine.start(request(), signal);
    await its.engine.pause(id);
    await its.engine.pause(id);
    expect((await its.engine.list()).map(({ state }) => state)).toEqual(['paused']);
    await its.engine.unpause(id);
    await its.engine.unpause(id);
    await its.engine.pause(id);
    await its.engine.remove(id);
    await its.engine.remove(id);
    await expect(its.engine.pause(id)).rejects.toMatchObject({ code: 'sandbox_not_running' });
    await expect(its.engine.metrics(id)).rejects.toMatchObject({ code: 'sandbox_not_running' });
  });

  test('tells what it uses: CPU, memory, disk, network, processes', async () => {
    const sandbox = await its.start({ network: 'on', cpus: 1, memoryMiB: 256, diskMiB: 512 });
    const before = await its.engine.metrics(sandbox.containerId);
    expect(before).toMatchObject({ cpus: 1, memoryLimitBytes: 256 << 20, diskLimitBytes: 512 << 20 });
    await sandbox.run(
      `head -c 50M /dev/urandom > /tmp/file; getent hosts deb.debian.org; sync
       setsid sleep 100 > /dev/null 2>&1 &
       timeout 1 sh -c 'while :; do :; done'`,
    );
    const after = await waitFor(
      'the disk to be measured again',
      async () => {
        const now = await its.engine.metrics(sandbox.containerId);
        return now.diskUsedBytes > 45 << 20 && now;
      },
      10_000,
    );
    expect(after.cpuSeconds - before.cpuSeconds).toBeGreaterThan(0.1);
    expect(after.memoryUsedBytes).toBeGreaterThan(0);
    expect(after.memoryPeakBytes).toBeGreaterThanOrEqual(after.memoryUsedBytes);
    expect(after.networkSentBytes).toBeGreaterThan(before.networkSentBytes);
    expect(after.processes).toBe(before.processes + 1);
    expect(before.cpuUsedPercent).toBeLessThanOrEqual(100);
    await sandbox.remove();
  });
});

describe('events', () => {
  test('tell of deaths, oom kills and disk limits of this installation only, and end when aborted', async () => {
    const abort = new AbortController();
    const seen: ContainerEvent[] = [];
    const following = (async () => {
      for await (const event of await its.engine.events(abort.signal)) seen.push(event);
    })();
    const of = (id: string, kind: string): boolean =>
      seen.some((event) => event.kind === kind && event.containerId === id);

    const foreign = await other.start();
    const eater = await its.start({ memoryMiB: 128 });
    const hoarder = await its.start({ memoryMiB: 128, diskMiB: 64 });
    const maker = await its.start({ memoryMiB: 128, diskMiB: 64 });
    await eater.run('python3 -c "x = bytearray(400 << 20)"');
    await hoarder.run('for n in 1 2 3; do head -c 40M /dev/zero > /tmp/$n; done');
    await maker.run('mkdir /tmp/many; cd /tmp/many; seq 6000 | xargs touch');
    await foreign.remove();
    await waitFor('the oom kill', () => of(eater.containerId, 'oom'), 10_000);
    await waitFor('the disk limit by size', () => of(hoarder.containerId, 'disk_limit'), 30_000);
    await waitFor('the disk limit by files', () => of(maker.containerId, 'disk_limit'), 30_000);
    await Promise.all([eater, hoarder, maker].map((sandbox) => sandbox.remove()));
    await waitFor('the deaths', () => of(maker.containerId, 'exited') && of(eater.containerId, 'exited'), 10_000);
    expect(seen.filter(({ containerId }) => containerId === foreign.containerId)).toEqual([]);
    abort.abort();
    await following;
  });

  test('count files that are unlinked but held open', async () => {
    const abort = new AbortController();
    const seen: ContainerEvent[] = [];
    const following = (async () => {
      for await (const event of await its.engine.events(abort.signal)) seen.push(event);
    })();
    const hider = await its.start({ diskMiB: 64 });
    await hider.run(`setsid python3 -c "
import os, signal
held = []
for n in range(3):
    held.append(open('/tmp/hidden', 'wb')); os.unlink('/tmp/hidden'); held[-1].write(bytes(40 << 20)); held[-1].flush()
signal.pause()" > /dev/null 2>&1 &`);
    await waitFor('the disk limit', () => seen.some(({ kind }) => kind === 'disk_limit'), 30_000);
    await hider.remove();
    abort.abort();
    await following;
    expect(seen.filter(({ kind }) => kind === 'disk_limit')).toEqual([
      { kind: 'disk_limit', containerId: hider.containerId },
    ]);
  });
});

test('a runner that takes over finds the containers of the one before, and close() leaves them', async () => {
  const sandbox = await its.start({ network: 'on' });
  const folder = await mkdtemp(join(tmpdir(), 'gbx-'));
  const next = createDockerEngine({
    socketPath: dockerSocketPath(process.env['DOCKER_HOST']),
    installationId: its.installationId,
    agent: await prepareAgentFolder(folder),
    log: createLogger(() => undefined),
  });
  expect((await next.prepare()).networks).toEqual(['on', 'off']);
  expect((await next.list()).map(({ id }) => id)).toEqual([sandbox.containerId]);
  expect((await next.metrics(sandbox.containerId)).processes).toBeGreaterThan(0);
  await next.close();
  expect((await sandbox.run('getent hosts deb.debian.org | wc -l')).stdout).toBe('1\n');
  await sandbox.remove();
  await rm(folder, { recursive: true });
});

test('two installations on one engine see and remove only their own', async () => {
  const [mine, theirs] = await Promise.all([its.start({ network: 'on' }), other.start({ network: 'on' })]);
  expect((await its.engine.list()).map(({ id }) => id)).toEqual([mine.containerId]);
  expect((await other.engine.list()).map(({ id }) => id)).toEqual([theirs.containerId]);
  await theirs.remove();
  await mine.remove();
});
