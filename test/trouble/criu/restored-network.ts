/**
 * For trouble/checkpoints, which runs it in the network of an engine whose checkpoints work: whether a restored sandbox, which sends without
 * end, is ever ahead of its rules or beside its neighbours. Prints what it has seen as JSON.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { imageTag } from '../../../local/images.ts';
import { startOutside } from '../../security/outside.ts';
import { startTestEngine, type TestSandbox } from '../../security/sandbox.ts';
import { waitFor } from '../../wait-for.ts';

const rounds = 3;
const readyMs = 20_000;
const neighbourPort = 4242;
const request = { network: 'on', image: imageTag('base') } as const;
const nothing = { allow: [], deny: ['0.0.0.0/0'] };

interface Seen {
  confinesFromStart: boolean;
  keepsItsAddress: boolean;
  /** Datagrams that came out since the checkpoint, of each round. */
  aheadOfRules: number[];
  /** What the neighbour has heard of it, or learnt by ARP. */
  byNeighbour: string[];
  sendsOnceAllowed: boolean;
  /** The same of a copy that goes on with its memory, at an address of its own. */
  copy: { aheadOfRules: number; sendsOnceAllowed: boolean };
}

const outside = await startOutside();
const its = await startTestEngine();
try {
  process.stdout.write(JSON.stringify(await look()));
} finally {
  await its.dispose();
  await outside.close();
}

async function look(): Promise<Seen> {
  const { engine } = its;
  const neighbour = await its.start(request);
  const sandbox = await its.start(request);
  const { containerId, session } = sandbox;
  await send(sandbox, await addressOf(neighbour), neighbour);
  await waitFor('its datagrams', async () => outside.knocks() > 0, readyMs);
  await engine.setEgress(containerId, nothing);
  await delay(500); // what was let through before has arrived
  const confinesFromStart = await engine.confinesFromStart(containerId);
  const address = await addressOf(sandbox);
  const aheadOfRules: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await session.hangUp();
    await engine.checkpoint(containerId);
    const before = outside.knocks();
    await session.listen();
    await engine.restore(containerId);
    await session.ready(readyMs);
    aheadOfRules.push(outside.knocks() - before);
  }
  const keepsItsAddress = (await addressOf(sandbox)) === address;
  const { stdout } = await neighbour.run('cat /tmp/heard; cat /proc/net/arp');
  const byNeighbour = stdout.split('\n').filter((line) => line.startsWith(address));
  const copy = await lookAtCopy(sandbox);
  const sendsOnceAllowed = await sendsWhenAllowed(sandbox);
  await Promise.all([session.close(), neighbour.session.close()]);
  return { confinesFromStart, keepsItsAddress, aheadOfRules, byNeighbour, sendsOnceAllowed, copy };
}

/** Of one that is denied everything, as all others are. */
async function sendsWhenAllowed({ containerId }: TestSandbox): Promise<boolean> {
  const before = outside.knocks();
  await its.engine.setEgress(containerId, { allow: [], deny: [] });
  return await waitFor('its datagrams', async () => outside.knocks() > before, readyMs);
}

async function lookAtCopy({ containerId, session }: TestSandbox): Promise<Seen['copy']> {
  await session.hangUp();
  const { files, facts, bytes } = await its.engine.capture(
    { containerId, memory: 'live' },
    async ({ layer, memory, memoryFailure }) => {
      if (memory === undefined) throw memoryFailure ?? new Error('its memory was not captured');
      return { files: await collect(layer), facts: memory.facts, bytes: await collect(memory.bytes) };
    },
    AbortSignal.timeout(60_000),
  );
  await session.listen();
  const before = outside.knocks();
  const copy = await its.start({
    ...request,
    egress: nothing,
    filesystem: streamOf(files),
    memory: { facts, bytes: streamOf(bytes) },
  });
  const aheadOfRules = outside.knocks() - before;
  const sendsOnceAllowed = await sendsWhenAllowed(copy);
  await copy.remove();
  return { aheadOfRules, sendsOnceAllowed };
}

async function collect(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function* streamOf(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function addressOf({ containerId }: TestSandbox): Promise<string> {
  const { NetworkSettings } = await its.docker.getContainer(containerId).inspect();
  return Object.values(NetworkSettings.Networks)[0]?.IPAddress ?? '';
}

/** A thousand times a second, to the outside and to the neighbour, who writes down what it hears. */
async function send(sandbox: TestSandbox, neighbourAddress: string, neighbour: TestSandbox): Promise<void> {
  await neighbour.run(`setsid python3 -uc "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('0.0.0.0', ${neighbourPort}))
while True: print(s.recvfrom(100)[1][0])" > /tmp/heard 2>&1 < /dev/null &`);
  await sandbox.run(`setsid python3 -c "
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.setblocking(False)
while True:
    for target in [('${outside.addresses[0]}', ${outside.knockPort}), ('${neighbourAddress}', ${neighbourPort})]:
        try: s.sendto(b'x', target)
        except OSError: pass
    time.sleep(0.001)" > /dev/null 2>&1 < /dev/null &`);
}
