import { networkInterfaces } from 'node:os';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { EgressRules } from '../../runner/protocol/egress.ts';
import { nodeResolver } from '../../runner/engine/node-network.ts';
import { waitFor } from '../wait-for.ts';
import { startOutside, type Outside } from './outside.ts';
import { host, startTestEngine, type TestEngine, type TestSandbox } from './sandbox.ts';

let its: TestEngine;
let outside: Outside;
let sandbox: TestSandbox;
let neighbour: TestSandbox;

beforeAll(async () => {
  outside = await startOutside();
  its = await startTestEngine();
  sandbox = await its.start({ network: 'on' });
  neighbour = await its.start({ network: 'on' });
});
afterEach(() => its.engine.setEgress(sandbox.containerId, { allow: [], deny: [] }));
afterAll(async () => {
  await sandbox?.session.close();
  await neighbour?.session.close();
  await its?.dispose();
  await outside?.close();
});

const set = (allow: string[], deny: string[]): Promise<void> =>
  its.engine.setEgress(sandbox.containerId, { allow, deny });

/** Of the outside's three addresses and others: what a connection to each comes to. */
async function reached(
  from: TestSandbox,
  targets: readonly string[] = outside.addresses,
  port = outside.port,
  seconds = 4,
) {
  return from.python<string[]>(`
import concurrent.futures, json, socket
def attempt(address):
    try:
        with socket.create_connection((address, ${port}), ${seconds}) as s: return s.recv(8).decode().strip()
    except ConnectionRefusedError: return 'refused'
    except OSError as error: return type(error).__name__
with concurrent.futures.ThreadPoolExecutor(16) as pool:
    print(json.dumps(list(pool.map(attempt, ${JSON.stringify(targets)}))))`);
}

const addressOf = async (target: TestSandbox): Promise<string> =>
  target.python<string>(`
import json, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(('192.0.2.1', 9)); print(json.dumps(s.getsockname()[0]))`);

const ownChains = async (): Promise<string[]> =>
  ((await host('iptables-save')).match(/^:GBX-\S+/gm) ?? []).filter(
    (chain) => chain.includes(its.installationId) && /-[SR][0-9a-f]{8}$/.test(chain),
  );

describe('rules of a sandbox', () => {
  test('none: every public address is reached', async () => {
    expect(await reached(sandbox)).toEqual(['reached', 'reached', 'reached']);
    expect(await ownChains()).toEqual([]);
  });

  const [a, b, c] = ['a', 'b', 'c'];
  const cases: [string, { allow: string[]; deny: string[] }, string[]][] = [
    ['an address is denied, at once and not by silence', { allow: [], deny: [a] }, ['refused', 'reached', 'reached']],
    ['a network is denied', { allow: [], deny: ['network'] }, ['refused', 'refused', 'reached']],
    ['everything is denied', { allow: [], deny: ['0.0.0.0/0'] }, ['refused', 'refused', 'refused']],
    ['what is allowed outranks what is denied', { allow: [c], deny: ['0.0.0.0/0'] }, ['refused', 'refused', 'reached']],
    ['an allowed network outranks', { allow: ['network'], deny: ['0.0.0.0/0', b] }, ['reached', 'reached', 'refused']],
    [
      'what is allowed without anything denied changes nothing',
      { allow: [a], deny: [] },
      ['reached', 'reached', 'reached'],
    ],
    [
      'rules of IPv6 change nothing of IPv4',
      { allow: ['2001:db8::1'], deny: ['::/0'] },
      ['reached', 'reached', 'reached'],
    ],
  ];
  test.each(cases)('%s', async (_name, rules, expected) => {
    const names: Record<string, string> = {
      a: outside.addresses[0],
      b: outside.addresses[1],
      c: outside.addresses[2],
      network: outside.network,
    };
    const real = (list: string[]): string[] => list.map((name) => names[name] ?? name);
    await set(real(rules.allow), real(rules.deny));
    expect(await reached(sandbox)).toEqual(expected);
    expect(await reached(neighbour)).toEqual(['reached', 'reached', 'reached']);
  });

  test('what is always denied stays so whatever is allowed, with everything or by name', async () => {
    const own = Object.values(networkInterfaces()).flatMap((entries) =>
      (entries ?? []).filter(({ family, internal }) => family === 'IPv4' && !internal).map(({ address }) => address),
    );
    const never = [
      '169.254.169.254',
      '10.0.0.1',
      '172.17.0.1',
      '192.168.0.1',
      '100.64.0.1',
      await addressOf(neighbour),
    ];
    const targets = [...new Set([...own, ...never])];
    for (const rules of [
      { allow: ['0.0.0.0/0'], deny: [] },
      { allow: ['0.0.0.0/0'], deny: ['0.0.0.0/0'] },
      { allow: targets, deny: ['0.0.0.0/0'] },
    ]) {
      await set(rules.allow, rules.deny);
      const results = await reached(sandbox, targets, 80, 1);
      expect(results.filter((result) => result === 'reached')).toEqual([]);
    }
  });

  test('where everything is denied the resolver does not answer either, unless it is allowed by its address', async () => {
    const resolver = await nodeResolver();
    if (resolver === undefined) return; // the engine asks a loopback resolver itself
    const ask = async (): Promise<string> =>
      (await sandbox.run('RES_OPTIONS="timeout:1 attempts:1" getent ahostsv4 deb.debian.org | head -1')).stdout;
    await set([], ['0.0.0.0/0', '::/0']);
    expect(await ask()).toBe('');
    const answered = () => waitFor('an answer', async () => /^\d+\.\d+\.\d+\.\d+/.test(await ask()), 15_000);
    await set([resolver], ['0.0.0.0/0']);
    await answered();
    await set([], ['203.0.113.0/24']);
    await answered();
  });

  test('a connection that is open to what is denied from now on is cut, and a datagram’s peer is no longer heard', async () => {
    const program = `
import json, socket, sys, time
tcp = socket.create_connection(('${outside.addresses[0]}', ${outside.port}), 4); tcp.recv(8); tcp.settimeout(8)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.connect(('${outside.addresses[0]}', ${outside.port})); udp.send(b'x'); udp.settimeout(3)
other = socket.create_connection(('${outside.addresses[1]}', ${outside.port}), 4); other.settimeout(3)
udp.recv(10)
open('/tmp/open', 'w').close()
while True:
    try:
        if open('/tmp/denied').read() != '': break
    except OSError: pass
    time.sleep(0.02)
def drain(s, tries):
    try:
        for _ in range(tries):
            if s.recv(4096) == b'': return 'closed'
    except TimeoutError: return 'silent'
    except OSError as error: return type(error).__name__
    return 'heard'
try: tcp.send(b'more')
except OSError: pass
time.sleep(0.5)
print(json.dumps([drain(tcp, 200), drain(udp, 50), drain(other, 5)]))`;
    const heard = sandbox.python<string[]>(program, { timeoutMs: 40_000 });
    const opened = async () => (await sandbox.run('test -e /tmp/open')).exit.exitCode === 0;
    await waitFor('the connections', opened, 10_000, 50);
    await set([], [outside.addresses[0]]);
    await sandbox.run('echo now > /tmp/denied');
    const [tcp, udp, other] = await heard;
    expect(tcp).toBe('ConnectionResetError');
    // What was on its way already is read; then nothing comes any more.
    expect(udp).toBe('silent');
    expect(other).toBe('heard');
  });

  test('changes while a client knocks: what both the old and the new rules deny is never reached', async () => {
    await set([], [outside.addresses[0]]);
    const knocking = sandbox.python<number>(`
import json, socket, time
reached, until = 0, time.time() + 2
while time.time() < until:
    try: socket.create_connection(('${outside.addresses[0]}', ${outside.port}), 1).close(); reached += 1
    except OSError: pass
print(json.dumps(reached))`);
    const variants: EgressRules[] = [
      { allow: [], deny: ['0.0.0.0/0'] },
      { allow: [outside.addresses[1]], deny: [outside.network] },
      { allow: [], deny: [outside.addresses[0]] },
    ];
    for (let round = 0; round < 12; round++) {
      const { allow, deny } = variants[round % variants.length] ?? { allow: [], deny: [] };
      await set(allow, deny);
    }
    expect(await knocking).toBe(0);
  });

  test('are put back after both tables lost them', async () => {
    await set([], [outside.addresses[0]]);
    await host('iptables', '-w', '-F', `GBX-${its.installationId}-EGRESS`);
    await host('iptables', '-w', '-t', 'security', '-F', `GBX-${its.installationId}-EGRESS`);
    await waitFor('the rules to be put back', async () => (await reached(sandbox))[0] === 'refused', 15_000, 200);
    expect(its.logged.some((line) => line.includes('firewall_put_back'))).toBe(true);
  });
});

describe('whose rules they are', () => {
  test('a sandbox neither changes its address nor sends from another', async () => {
    await set([], [outside.addresses[0]]);
    const victim = await addressOf(neighbour);
    const before = outside.heard().length;
    const tried = await sandbox.python<string[]>(`
import errno, fcntl, json, socket, struct
results = []
def attempt(work):
    try: work(); results.append('done')
    except OSError as error: results.append(errno.errorcode.get(error.errno, str(error)))
def send_from(option, source):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        if option is not None: s.setsockopt(socket.IPPROTO_IP, option, 1)
        s.bind((source, 0)); s.sendto(b'x', ('${outside.addresses[0]}', ${outside.port}))
def set_address():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, 0x8916, struct.pack('16sH2s4s8s', b'eth0', socket.AF_INET, b'', socket.inet_aton('${victim}'), b''))
attempt(set_address)
attempt(lambda: send_from(15, '${victim}'))
attempt(lambda: send_from(19, '${victim}'))
attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 255))
attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
attempt(lambda: send_from(None, '127.0.0.1'))
print(json.dumps(results))`);
    expect(tried.slice(0, 5)).not.toContain('done');
    expect(outside.heard().length).toBe(before);
  });

  test('they go with the container', async () => {
    const first = await its.start({ network: 'on' });
    await its.engine.setEgress(first.containerId, { allow: [], deny: ['0.0.0.0/0'] });
    expect(await ownChains()).toHaveLength(3);
    await first.remove();
    expect(await ownChains()).toEqual([]);
  });

  test('nobody gets the address of one that died by itself, nor its rules, until it is removed', async () => {
    const first = await its.start({ network: 'on' });
    await its.engine.setEgress(first.containerId, { allow: [], deny: ['0.0.0.0/0'] });
    const address = await addressOf(first);
    await its.docker.getContainer(first.containerId).kill();
    await waitFor('its end', async () => (await its.engine.findExit(first.containerId)) !== undefined, 10_000);
    const next = await its.start({ network: 'on' });
    expect(await addressOf(next)).not.toBe(address);
    expect(await reached(next)).toEqual(['reached', 'reached', 'reached']);
    await next.remove();
    await first.remove();
    expect(await ownChains()).toEqual([]);
  });

  test('they stay in force while it rests, and may be changed; started again it is where it was, and held by them', async () => {
    const first = await its.start({ network: 'on' });
    await its.engine.setEgress(first.containerId, { allow: [], deny: ['0.0.0.0/0'] });
    const address = await addressOf(first);
    await its.engine.stop(first.containerId);
    expect(await ownChains()).toHaveLength(3);
    await its.engine.setEgress(first.containerId, { allow: [outside.addresses[2]], deny: ['0.0.0.0/0'] });
    await its.engine.restart(first.containerId);
    await first.session.ready(20_000);
    await first.session.configure({ env: { PATH: '/usr/bin:/bin' }, cwd: '/' });
    expect(await addressOf(first)).toBe(address);
    expect(await reached(first)).toEqual(['refused', 'refused', 'reached']);
    await first.remove();
    expect(await ownChains()).toEqual([]);
  });

  test('another installation’s are not touched, and it does not touch these', async () => {
    await set([], [outside.addresses[0]]);
    const other = await startTestEngine();
    const stranger = await other.start({ network: 'on' });
    await other.engine.setEgress(stranger.containerId, { allow: [], deny: [outside.addresses[1]] });
    expect(await reached(stranger)).toEqual(['reached', 'refused', 'reached']);
    expect(await reached(sandbox)).toEqual(['refused', 'reached', 'reached']);
    await stranger.session.close();
    await other.dispose();
    expect(await reached(sandbox)).toEqual(['refused', 'reached', 'reached']);
    expect(await host('iptables-save')).not.toContain(other.installationId);
  });
});
