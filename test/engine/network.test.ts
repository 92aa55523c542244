import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { connectDocker, dockerSocketPath } from '../../runner/engine/docker-client.ts';
import { applyFirewall, changeFirewall, findFirewallFault } from '../../runner/engine/firewall.ts';
import { bridgeName } from '../../runner/engine/bridge-network.ts';
import { holdFrames } from '../../runner/engine/frame-rules.ts';
import { removeNetwork, SandboxNetwork } from '../../runner/engine/network.ts';
import { createLogger } from '../../runner/log.ts';

const log = createLogger(() => undefined);
const isUp = async (bridge: string): Promise<boolean> =>
  (Number(await readFile(`/sys/class/net/${bridge}/flags`, 'utf8')) & 1) === 1;

test('a bridge whose rules can not be put back is taken down, and comes up again with them', async () => {
  const docker = connectDocker(dockerSocketPath(process.env['DOCKER_HOST']));
  const installationId = randomBytes(6).toString('hex');
  let broken = false;
  const network = new SandboxNetwork(
    docker,
    { installationId, resolver: undefined, denyAddresses: [], log },
    {
      apply: async (plan) => {
        if (broken) throw new Error('the packet filter refuses');
        await applyFirewall(plan);
      },
      change: changeFirewall,
      holdFrames,
      findFault: async (plan) => (broken ? 'flushed' : findFirewallFault(plan)),
    },
  );
  try {
    await network.prepare();
    expect([network.safe, await isUp(bridgeName(installationId))]).toEqual([true, true]);
    broken = true;
    await expect(network.check()).rejects.toThrow('refuses');
    expect([network.safe, await isUp(bridgeName(installationId))]).toEqual([false, false]);
    broken = false;
    await network.check();
    expect([network.safe, await isUp(bridgeName(installationId))]).toEqual([true, true]);
  } finally {
    await network.close();
    await removeNetwork(docker, installationId);
  }
});

test('a network that can not be made safe at first is not offered, has no bridge, and is made when it can', async () => {
  const docker = connectDocker(dockerSocketPath(process.env['DOCKER_HOST']));
  const installationId = randomBytes(6).toString('hex');
  let broken = true;
  const network = new SandboxNetwork(
    docker,
    { installationId, resolver: undefined, denyAddresses: [], log },
    {
      apply: (plan) => (broken ? Promise.reject(new Error('no iptables')) : applyFirewall(plan)),
      change: changeFirewall,
      holdFrames,
      findFault: async (plan) => (broken ? 'none' : findFirewallFault(plan)),
    },
  );
  try {
    await expect(network.prepare()).rejects.toThrow('no iptables');
    expect(network.safe).toBe(false);
    await expect(isUp(bridgeName(installationId))).rejects.toThrow('ENOENT');
    broken = false;
    await network.check();
    expect([network.safe, await isUp(bridgeName(installationId))]).toEqual([true, true]);
  } finally {
    await network.close();
    await removeNetwork(docker, installationId);
  }
});

test('where frames can not be filtered the network is offered all the same, and what would rely on that knows', async () => {
  const docker = connectDocker(dockerSocketPath(process.env['DOCKER_HOST']));
  const installationId = randomBytes(6).toString('hex');
  let missing = true;
  const network = new SandboxNetwork(
    docker,
    { installationId, resolver: undefined, denyAddresses: [], log },
    {
      apply: applyFirewall,
      change: changeFirewall,
      findFault: findFirewallFault,
      holdFrames: async (frames) => {
        if (missing) throw new Error('spawn ebtables ENOENT');
        await holdFrames(frames);
      },
    },
  );
  try {
    await network.prepare();
    network.assignAddress('a', network.reserveAddress());
    expect([network.safe, network.confinesFromStart('a'), network.notes.length]).toEqual([true, false, 1]);
    missing = false;
    await network.check();
    expect([network.confinesFromStart('a'), network.confinesFromStart('b'), network.notes]).toEqual([true, false, []]);
  } finally {
    await network.close();
    await removeNetwork(docker, installationId);
  }
  expect((await promisify(execFile)('ebtables', ['-L'])).stdout).not.toContain(installationId);
});
