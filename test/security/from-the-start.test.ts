import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../wait-for.ts';
import { hostileLibrary } from './hostile-library.ts';
import { startOutside, type Outside } from './outside.ts';
import { host, startTestEngine, type TestEngine, type TestSandbox } from './sandbox.ts';

/** A sandbox whose files hold code that runs ahead of everything else, the agent included: with each start of it. */
describe.skipIf(process.arch !== 'x64')('what runs from the first instruction on', () => {
  let its: TestEngine;
  let outside: Outside;
  let neighbour: TestSandbox;
  let files: Buffer;
  const knockPort = 4242;

  beforeAll(async () => {
    outside = await startOutside();
    its = await startTestEngine();
    neighbour = await its.start({ network: 'on' });
    const listening = `setsid python3 -uc "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('0.0.0.0', ${knockPort})); open('/tmp/up', 'w').close()
while True: print(s.recvfrom(100)[1][0])" > /tmp/heard 2>&1 &`;
    await neighbour.run(listening);
    const up = async () => (await neighbour.run('test -e /tmp/up')).exit.exitCode === 0;
    await waitFor('the neighbour’s listener', up, 10_000);
    files = await hostileFiles();
  });
  afterAll(async () => {
    await neighbour?.session.close();
    await its?.dispose();
    await outside?.close();
  });

  /** As a snapshot has them. */
  async function hostileFiles(): Promise<Buffer> {
    const source = await its.start({ network: 'off' });
    const address = (await its.docker.getContainer(neighbour.containerId).inspect()).NetworkSettings.Networks;
    const library = hostileLibrary([
      { address: outside.addresses[0], port: outside.knockPort },
      { address: Object.values(address)[0]?.IPAddress ?? '', port: knockPort },
    ]);
    const text = library.toString('base64');
    await source.run(`echo ${text} | base64 -d > /opt/hostile.so && echo /opt/hostile.so > /etc/ld.so.preload`);
    const layer = await its.engine.capture(
      { containerId: source.containerId, memory: 'none' },
      async ({ layer: bytes }) => {
        const chunks: Uint8Array[] = [];
        for await (const chunk of bytes) chunks.push(chunk);
        return Buffer.concat(chunks);
      },
      AbortSignal.timeout(30_000),
    );
    await source.remove();
    return layer;
  }

  const start = (deny: string[]) =>
    its.start({
      network: 'on',
      ...(deny.length === 0 ? {} : { egress: { allow: [], deny } }),
      filesystem: (async function* () {
        yield files;
      })(),
    });

  /** It must have been running all along, or nothing was shown. */
  async function seenToRun(sandbox: TestSandbox): Promise<void> {
    const before = outside.knocks();
    await its.engine.setEgress(sandbox.containerId, { allow: [], deny: [] });
    await waitFor('its datagrams', async () => outside.knocks() > before, 10_000);
    await its.engine.setEgress(sandbox.containerId, { allow: [], deny: ['0.0.0.0/0'] });
    await quiet();
  }

  /** What was let through while it was allowed has arrived. */
  async function quiet(): Promise<void> {
    const giveUpAtMs = performance.now() + 10_000;
    for (let before = -1; before !== outside.knocks();) {
      if (performance.now() > giveUpAtMs) throw new Error('it does not become quiet');
      before = outside.knocks();
      await delay(300);
    }
  }

  async function seenByNeighbour(sandbox: TestSandbox): Promise<string[]> {
    const { NetworkSettings } = await its.docker.getContainer(sandbox.containerId).inspect();
    const address = Object.values(NetworkSettings.Networks)[0]?.IPAddress ?? 'none';
    const { stdout } = await neighbour.run('cat /tmp/heard; cat /proc/net/arp');
    return stdout.split('\n').filter((line) => line.startsWith(address));
  }

  test('without rules it is heard outside at once, and by no neighbour', async () => {
    const sandbox = await start([]);
    await waitFor('its datagrams', async () => outside.knocks() > 0, 10_000);
    expect(await seenByNeighbour(sandbox)).toEqual([]);
    await sandbox.remove();
    await quiet();
  });

  test('booted from a snapshot it is held by its rules', async () => {
    for (let round = 0; round < 3; round++) {
      const before = outside.knocks();
      const sandbox = await start(['0.0.0.0/0']);
      expect(outside.knocks()).toBe(before);
      expect(await seenByNeighbour(sandbox)).toEqual([]);
      if (round === 0) await seenToRun(sandbox);
      await sandbox.remove();
    }
  });

  test('started again with its files, too', async () => {
    const sandbox = await start(['0.0.0.0/0']);
    for (let round = 0; round < 3; round++) {
      await its.engine.stop(sandbox.containerId);
      const before = outside.knocks();
      await its.engine.restart(sandbox.containerId);
      await sandbox.session.ready(20_000);
      expect(outside.knocks()).toBe(before);
      expect(await seenByNeighbour(sandbox)).toEqual([]);
    }
    await sandbox.session.configure({ env: { PATH: '/usr/bin:/bin' }, cwd: '/' });
    await seenToRun(sandbox);
    await sandbox.remove();
  });

  test('no neighbour is met before a port is isolated either: what is bridged is filtered by itself', async () => {
    const sandbox = await start([]);
    const bridge = `gbx${its.installationId}`;
    // As it is for some milliseconds after each start, until the runner looks again.
    await host('sh', '-c', `for port in /sys/class/net/${bridge}/brif/*; do echo 0 > $port/isolated; done`);
    const { knocks } = outside;
    const before = knocks();
    await waitFor('that it sends', async () => knocks() > before + 100, 10_000);
    expect(await seenByNeighbour(sandbox)).toEqual([]);
    await sandbox.remove();
    await quiet();
  });
});
