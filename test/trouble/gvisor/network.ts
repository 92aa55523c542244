/**
 * For trouble/gvisor, which runs it in its engine's network, under a runtime of that engine's with the node's network stack, and with the name
 * of one that reaches no network: what the network rules come to there. Prints what it has seen as JSON.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { imageTag } from '../../../local/images.ts';
import { createAgentSession } from '../../../runner/agent/host.ts';
import { probeRuntime } from '../../../runner/sandboxes/runtime-probe.ts';
import { startOutside } from '../../security/outside.ts';
import { startTestEngine, type TestEngine, type TestSandbox } from '../../security/sandbox.ts';

const image = imageTag('base');
const [, , offline] = process.argv;
if (offline === undefined) throw new Error('usage: network.ts <runtime without a network>');

const outside = await startOutside();
const [resolver] = outside.addresses;
const its = await startTestEngine({ resolver });
const other = await startTestEngine({ runtime: offline });
try {
  process.stdout.write(JSON.stringify({ ...(await lookInside()), ...(await probeBoth()) }));
} finally {
  await its.dispose();
  await other.dispose();
  await outside.close();
}

async function lookInside() {
  const { engine } = its;
  const neighbour = await its.start({ network: 'on', image });
  const sandbox = await its.start({ network: 'on', image });
  const { containerId, session } = sandbox;
  const [a, b, c] = outside.addresses;
  const gateway = (await addressOf(sandbox)).replace(/\d+$/, '1');
  const free = await reached(sandbox, [a, b, c]);
  await engine.setEgress(containerId, { allow: [], deny: [a] });
  const ruled = await reached(sandbox, [a, b, c]);
  const denied = await reached(sandbox, [gateway]);
  const beside = await reached(sandbox, [await addressOf(neighbour)]);
  const { stdout } = await sandbox.run('head -n 1 /etc/resolv.conf');
  // The release of 2024-07 refuses it on the node's stack.
  await session.hangUp();
  const written = await engine.checkpoint(containerId).then(
    () => true,
    () => false,
  );
  await session.listen();
  if (written) await engine.restore(containerId);
  await session.ready(20_000);
  const afterwards = await reached(sandbox, [a, b]);
  await Promise.all([session.close(), neighbour.session.close()]);
  const namesResolver = stdout === `nameserver ${resolver}\n`;
  return { free, ruled, denied, beside, namesResolver, afterwards };
}

async function probeBoth() {
  const found = await Promise.all([probe(its), probe(other)]);
  const [online, none] = found.map(({ reachesNetwork }) => reachesNetwork);
  other.engine.learnRuntime({ reachesNetwork: none === true });
  const request = {
    slot: 'none',
    image,
    network: 'on',
    cpus: 1,
    memoryMiB: 64,
    diskMiB: 64,
    socketDir: tmpdir(),
  } as const;
  const refused = await other.engine.start(request, AbortSignal.timeout(10_000)).then(
    () => false,
    () => true,
  );
  return { kinds: found.map(({ kind }) => kind), online, none, offers: other.engine.networks, refused };
}

async function probe({ engine }: TestEngine) {
  const dataDir = await mkdtemp(join(tmpdir(), 'gbx-p-'));
  const openSession = (socketDir: string) => createAgentSession({ socketDir, log: () => undefined });
  try {
    return await probeRuntime({ engine, openSession, dataDir, image, slot: 'probe' });
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

async function reached(from: TestSandbox, targets: readonly string[]) {
  return await from.python<string[]>(`
import json, socket
def attempt(address):
    try:
        with socket.create_connection((address, ${outside.port}), 3) as s: return s.recv(8).decode().strip()
    except ConnectionRefusedError: return 'refused'
    except OSError as error: return type(error).__name__
print(json.dumps([attempt(address) for address in ${JSON.stringify(targets)}]))`);
}

async function addressOf({ containerId }: TestSandbox): Promise<string> {
  const { NetworkSettings } = await its.docker.getContainer(containerId).inspect();
  return Object.values(NetworkSettings.Networks)[0]?.IPAddress ?? '';
}
