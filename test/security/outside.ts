import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { randomBytes, randomInt } from 'node:crypto';
import { host } from './sandbox.ts';

/** Stands for the internet: a network namespace behind the node, with addresses that are documentation's (RFC 5737) and no one's. */
export interface Outside {
  /** All on one server, which answers on `port`. */
  addresses: [string, string, string];
  /** Holds `addresses` and no address of the node. */
  network: string;
  port: number;
  /** Who has connected or sent a datagram so far: the node's own address, since the node masquerades. */
  heard: () => string[];
  /** Datagrams that came to `knockPort`, which nobody answers. */
  knocks: () => number;
  knockPort: number;
  close(): Promise<void>;
}

const port = 8080;
const knockPort = 8081;

/**
 * TCP: says 'reached', then 'tick' ten times a second, and tells what it gets. UDP: whoever sends anything gets ticks for a minute.
 * Its own lines tell the test that it is up and who came.
 */
const server = `
const net = require('node:net'), dgram = require('node:dgram');
const often = (say) => { const timer = setInterval(say, 100); setTimeout(() => clearInterval(timer), 60000); return timer; };
net.createServer((socket) => {
  console.log('tcp ' + socket.localAddress);
  socket.on('error', () => {});
  socket.write('reached\\n');
  const timer = often(() => socket.write('tick\\n'));
  socket.on('close', () => clearInterval(timer));
}).listen(${port}, '0.0.0.0', () => {
  const datagrams = dgram.createSocket('udp4');
  datagrams.on('error', () => {});
  datagrams.on('message', (_bytes, from) => { console.log('udp'); often(() => datagrams.send('tick', from.port, from.address)); });
  datagrams.bind(${port}, '0.0.0.0', () => {
    const knocks = dgram.createSocket('udp4');
    knocks.on('message', () => console.log('knock'));
    knocks.bind(${knockPort}, '0.0.0.0', () => console.log('up'));
  });
});`;

export async function startOutside(): Promise<Outside> {
  const name = `gbo${randomBytes(4).toString('hex')}`;
  const block = await openNamespace(name);
  const base = '192.0.2';
  const addresses: Outside['addresses'] = [`${base}.${block + 2}`, `${base}.${block + 3}`, `${base}.${block + 4}`];
  for (const address of addresses) {
    await host('ip', 'netns', 'exec', name, 'ip', 'addr', 'add', `${address}/28`, 'dev', `${name}p`);
  }
  const running = spawn('ip', ['netns', 'exec', name, process.execPath, '-e', server], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  running.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  while (!said.includes('up\n')) await once(running.stdout, 'data', { signal: AbortSignal.timeout(10_000) });
  return {
    addresses,
    network: `${base}.${block + 2}/31`,
    port,
    heard: () => said.split('\n').slice(1, -1),
    knocks: () => said.split('\n').filter((line) => line === 'knock').length,
    knockPort,
    close: async () => {
      const ended = once(running, 'exit');
      running.kill('SIGKILL');
      await ended;
      await host('ip', 'link', 'del', name);
      await host('ip', 'netns', 'del', name);
    },
  };
}

/** Joined to the node by a pair of interfaces; the last octet of a block of sixteen addresses that nobody on this machine uses. */
async function openNamespace(name: string): Promise<number> {
  await host('ip', 'netns', 'add', name);
  await host('ip', 'link', 'add', name, 'type', 'veth', 'peer', 'name', `${name}p`);
  await host('ip', 'link', 'set', `${name}p`, 'netns', name);
  // Of other tests', and of a node that has an address or a gateway among them.
  const routes = (await host('ip', '-4', 'route', 'show')).matchAll(/192\.0\.2\.(\d+)/g);
  const taken = new Set([...routes].map(([, last]) => Math.floor(Number(last) / 16)));
  const free = Array.from({ length: 16 }, (_, at) => at).filter((at) => !taken.has(at));
  const chosen = free[randomInt(Math.max(1, free.length))];
  if (chosen === undefined) throw new Error('192.0.2.0/24 is in use on this machine');
  const block = chosen * 16;
  await host('ip', 'addr', 'add', `192.0.2.${block + 1}/28`, 'dev', name);
  await host('ip', 'link', 'set', name, 'up');
  await host('ip', 'netns', 'exec', name, 'ip', 'link', 'set', `${name}p`, 'up');
  await host('ip', 'netns', 'exec', name, 'ip', 'link', 'set', 'lo', 'up');
  return block;
}
