import { afterEach, beforeEach, expect, test } from 'vitest';
import { bridgeName } from '../../runner/engine/bridge-network.ts';
import { installationLabel, networkName } from '../../runner/engine/container-spec.ts';
import { createDockerEngine } from '../../runner/engine/docker.ts';
import { dockerSocketPath } from '../../runner/engine/docker-client.ts';
import { createLogger } from '../../runner/log.ts';
import type { EgressRules } from '../../runner/protocol/egress.ts';
import { host, startTestEngine, type TestEngine, type TestSandbox } from '../security/sandbox.ts';

/** What a sandbox's address is in an installation that an earlier version has begun, and where somebody else has it. */
let its: TestEngine;
beforeEach(async () => {
  its = await startTestEngine();
});
afterEach(() => its.dispose());

const endpointOf = async (containerId: string) =>
  Object.values((await its.docker.getContainer(containerId).inspect()).NetworkSettings.Networks)[0];
const addressOf = async ({ containerId }: TestSandbox) => (await endpointOf(containerId))?.IPAddress;
const network = () => its.docker.getNetwork(networkName(its.installationId));
const isDivided = async () => (await network().inspect()).IPAM?.Config?.[0]?.['IPRange'] !== undefined;

const hex = (address = '') => address.split('.').map((part) => Number(part).toString(16).padStart(2, '0'));
const chainAt = (address = '') => `GBX-${its.installationId}-S${hex(address).join('')}`;

/** As an earlier version made it: the engine gives the addresses. */
async function makeOldNetwork(): Promise<void> {
  await network().remove();
  await its.docker.createNetwork({
    Name: networkName(its.installationId),
    Driver: 'bridge',
    Labels: { [installationLabel]: its.installationId },
    Options: { 'com.docker.network.bridge.name': bridgeName(its.installationId) },
  });
}

/** Another life of the runner on the same installation. */
const nextLife = async (egress?: ReadonlyMap<string, EgressRules>) => {
  const socketPath = dockerSocketPath(process.env['DOCKER_HOST']);
  const { installationId } = its;
  const log = createLogger((line) => its.logged.push(line));
  const engine = createDockerEngine({ socketPath, installationId, agent: its.agent, log });
  return { engine, report: await engine.prepare(egress) };
};

test('an earlier version’s network is made anew where nothing runs in it; one that rests there gets its address when it is started', async () => {
  const sandbox = await its.start({ network: 'on' });
  await its.engine.stop(sandbox.containerId);
  await its.engine.close();
  await makeOldNetwork();
  await its.docker.getNetwork(networkName(its.installationId)).disconnect({ Container: sandbox.containerId });
  await network().connect({ Container: sandbox.containerId });
  const next = await nextLife();
  try {
    expect(await isDivided()).toBe(true);
    expect(next.report.notes.join(' ')).not.toMatch(/earlier version/);
    await next.engine.restart(sandbox.containerId);
    const endpoint = await endpointOf(sandbox.containerId);
    expect(endpoint?.IPAddress).toBe(endpoint?.IPAMConfig?.IPv4Address);
    expect(await next.engine.confinesFromStart(sandbox.containerId)).toBe(true);
  } finally {
    await sandbox.session.close();
    await next.engine.close();
  }
});

test('one in use stays, says so, and is made anew when its last container goes', async () => {
  await its.engine.close();
  await makeOldNetwork();
  const { Id } = await network().inspect();
  const old = await its.docker.createContainer({
    Image: 'glovebox/base:latest',
    Entrypoint: ['sleep', '600'],
    Labels: { [installationLabel]: its.installationId },
    HostConfig: { NetworkMode: networkName(its.installationId) },
  });
  await old.start();
  const next = await nextLife();
  try {
    expect((await network().inspect()).Id).toBe(Id);
    expect(next.report.notes.join(' ')).toMatch(/earlier version/);
    expect(await next.engine.confinesFromStart(old.id)).toBe(false);
    const egress = { allow: [], deny: ['0.0.0.0/0'] };
    await next.engine.setEgress(old.id, egress);
    await next.engine.stop(old.id);
    await next.engine.restart(old.id);
    expect(await host('iptables-save')).toContain(`GBX-${its.installationId}-S`);
    await next.engine.remove(old.id);
    expect(await isDivided()).toBe(true);
  } finally {
    await next.engine.close();
  }
});

test('an address that somebody else has got is given up for another, the rules with it', async () => {
  const sandbox = await its.start({ network: 'on' });
  await its.engine.setEgress(sandbox.containerId, { allow: [], deny: ['0.0.0.0/0'] });
  const before = await addressOf(sandbox);
  await its.engine.stop(sandbox.containerId);
  const intruder = await its.docker.createContainer({
    Image: 'glovebox/base:latest',
    Entrypoint: ['sleep', '600'],
    Labels: { [installationLabel]: its.installationId },
    NetworkingConfig: {
      EndpointsConfig: { [networkName(its.installationId)]: { IPAMConfig: { IPv4Address: before } } },
    },
    HostConfig: { NetworkMode: networkName(its.installationId) },
  });
  await intruder.start();
  await its.engine.restart(sandbox.containerId);
  const after = await addressOf(sandbox);
  expect(after).not.toBe(before);
  const rules = await host('iptables-save');
  expect(rules).toContain(chainAt(after));
  expect(rules).not.toContain(chainAt(before));
  expect(its.logged.some((line) => line.includes('address_in_use'))).toBe(true);
  await sandbox.session.close();
});

test('what an earlier life left and nobody knows, a boot that was cut short perhaps, reaches nothing until it is removed', async () => {
  const known = await its.start({ network: 'on' });
  const unknown = await its.start({ network: 'on' });
  const [ofKnown, ofUnknown] = [chainAt(await addressOf(known)), chainAt(await addressOf(unknown))];
  await Promise.all([known.session.close(), unknown.session.close()]);
  await its.engine.close();
  const { engine } = await nextLife(new Map([[known.containerId, { allow: [], deny: [] }]]));
  try {
    const rules = await host('iptables-save', '-t', 'security');
    expect(rules).toMatch(new RegExp(`-A ${ofUnknown} -j GBX-\\S+-REFUSE`));
    expect(rules).not.toContain(ofKnown);
    await engine.remove(unknown.containerId);
    expect(await host('iptables-save')).not.toContain(ofUnknown);
  } finally {
    await engine.close();
  }
});
