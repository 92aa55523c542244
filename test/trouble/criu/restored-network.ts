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

interface Seen {
  confinesFromStart: boolean;
  keepsItsAddress: boolean;
  /** Datagrams that came out since the checkpoint, of each round. */
  aheadOfRules: number[];
  /** What the neighbour has heard of it, or learnt by ARP. */
  byNeighbour: string[];
  sendsOnceAllowed: boolean;
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
  const request = { network: 'on', image: imageTag('base') } as const;
  const neighbour = await its.start(request);
  const sandbox = await its.start(request);
  const { containerId, session } = sandbox;
  await send(sandbox, await addressOf(neighbour), neighbour);
  await waitFor('its datagrams', async () => outside.knocks() > 0, readyMs);
  await engine.setEgress(containerId, { allow: [], deny: ['0.0.0.0/0'] });
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
  const before = outside.knocks();
  await engine.setEgress(containerId, { allow: [], deny: [] });
  await waitFor('its datagrams again', async () => outside.knocks() > before, readyMs);
  await Promise.all([session.close(), neighbour.session.close()]);
  return { confinesFromStart, keepsItsAddress, aheadOfRules, byNeighbour, sendsOnceAllowed: true };
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
