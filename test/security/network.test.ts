import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../wait-for.ts';
import { nodeResolver } from '../../runner/engine/node-network.ts';
import { host, startTestEngine, type TestEngine, type TestSandbox } from './sandbox.ts';

let its: TestEngine;
let sandbox: TestSandbox;
let neighbour: TestSandbox;
/** Stands for Redis, the control plane and all else that listens on the node: on every address, both families. */
let service: Server;
let servicePort: number;

beforeAll(async () => {
  service = createServer((socket) => socket.end('reached')).listen(0, '::');
  await once(service, 'listening');
  const address = service.address();
  servicePort = typeof address === 'object' && address !== null ? address.port : 0;
  its = await startTestEngine({ denyAddresses: ['203.0.113.77', '203.0.113.78:6379'] });
  sandbox = await its.start({ network: 'on' });
  neighbour = await its.start({ network: 'on' });
});
afterAll(async () => {
  await sandbox?.session.close();
  await neighbour?.session.close();
  await its?.dispose();
  service.close();
});

/** Tries to connect to each address and to send it datagrams; what was reached. */
async function reached(from: TestSandbox, targets: [string, number][]): Promise<string[]> {
  return from.python<string[]>(`
import concurrent.futures, json, socket
def attempt(target):
    host, port = target
    found = []
    try:
        with socket.create_connection((host, port), 3):
            found.append('tcp %s:%d' % (host, port))
    except OSError:
        pass
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as datagram:
        datagram.settimeout(1)
        try:
            datagram.connect((host, port))
            datagram.send(b'x')
            datagram.recv(100)
            found.append('udp %s:%d' % (host, port))
        except OSError:
            pass
    return found
with concurrent.futures.ThreadPoolExecutor(16) as pool:
    print(json.dumps([name for names in pool.map(attempt, ${JSON.stringify(targets)}) for name in names]))
`);
}

async function addressOf(target: TestSandbox): Promise<string> {
  const { stdout } = await target.run(`python3 -c "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(('203.0.113.1', 9)); print(s.getsockname()[0])"`);
  return stdout.trim();
}

describe('network on', () => {
  test('is offered, because the rules are in place', () => {
    expect(its.report.networks).toEqual(['on', 'off']);
  });

  test('public addresses are reached by name', async () => {
    const { stdout, stderr } = await sandbox.run(
      `apt-get update -qq 2>&1 | tail -3; ls /var/lib/apt/lists/*Release | wc -l`,
      { timeoutMs: 50_000 },
    );
    expect(`${stdout}${stderr}`.trim()).toMatch(/^[1-9]\d*$/);
  });

  test('the node is not reached, on any address of either family, in any way', async () => {
    const own = Object.values(networkInterfaces()).flatMap((entries) => (entries ?? []).map(({ address }) => address));
    const targets = own
      .filter((address) => !/^(127\.|::1)/.test(address))
      .map((address): [string, number] => [address, servicePort]);
    expect(targets.length).toBeGreaterThan(1);
    expect(await reached(sandbox, targets)).toEqual([]);
    const { stdout } = await sandbox.run('ip route 2>/dev/null || awk \'$2 == "00000000" {print $3}\' /proc/net/route');
    expect(stdout).not.toBe('');
  });

  test('no neighbour is reached', async () => {
    const address = await addressOf(neighbour);
    await neighbour.run('setsid python3 -m http.server 8000 --bind 0.0.0.0 > /dev/null 2>&1 &');
    await waitFor(
      'the neighbour’s server',
      async () => (await neighbour.run('curl -s -o /dev/null http://127.0.0.1:8000/')).exit.exitCode === 0,
      10_000,
    );
    expect(await reached(sandbox, [[address, 8000]])).toEqual([]);
    expect(await reached(neighbour, [[address, 8000]])).toEqual([`tcp ${address}:8000`]);
  });

  test('no neighbour is seen: not in answers to ARP, and not by name', async () => {
    const address = await addressOf(neighbour);
    const seen = await sandbox.python<{ arp: string; names: string[]; reverse: string }>(`
import json, socket
try: socket.create_connection(('${address}', 80), 4)
except OSError: pass
arp = [line.split() for line in open('/proc/net/arp') if line.startswith('${address} ')]
def found(name):
    try: return socket.gethostbyname(name)
    except OSError: return None
guesses = ['runner', 'redis', 'gbx', 'glovebox', 'sandbox', 'base', 'gbx-${its.installationId}', 'host.docker.internal', 'gateway.docker.internal']
try: reverse = socket.gethostbyaddr('${address}')[0]
except OSError: reverse = ''
print(json.dumps({'arp': arp[0][3] if arp else '', 'names': [g for g in guesses if found(g)], 'reverse': reverse}))`);
    expect(seen.arp === '' || seen.arp === '00:00:00:00:00:00').toBe(true);
    expect(seen.names).toEqual([]);
    // The engine's own resolver tells the random name of the container at an address: nothing of who runs there or why.
    expect(seen.reverse).toMatch(/^$|^gbx-[0-9a-f]{12}-[0-9a-f]{16}\.gbx-[0-9a-f]{12}$/);
  });

  test('private, shared, link-local and metadata addresses are refused at once, not by silence', async () => {
    const targets = [
      '10.0.0.1',
      '100.64.0.1',
      '168.63.129.16',
      '169.254.169.254',
      '172.16.0.1',
      '172.17.0.1',
      '192.0.0.192',
      '192.168.0.1',
      '198.18.0.1',
      '203.0.113.77',
    ];
    const { answers, seconds } = await sandbox.python<{ answers: string[]; seconds: number }>(`
import errno, json, socket, time
def attempt(host):
    try:
        socket.create_connection((host, 80), 5)
        return 'reached'
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
began = time.monotonic()
answers = [attempt(host) for host in ${JSON.stringify(targets)}]
print(json.dumps({'answers': answers, 'seconds': time.monotonic() - began}))`);
    expect(answers).toEqual(targets.map(() => 'ECONNREFUSED'));
    expect(seconds).toBeLessThan(0.9);
  });

  test('a denied address with a port is denied on that port', async () => {
    const { stdout } = await sandbox.run(`python3 -c "
import socket
for port in (6379, 6380):
    try: socket.create_connection(('203.0.113.78', port), 1)
    except Exception as error: print(port, type(error).__name__)"`);
    expect(stdout).toContain('6379 ConnectionRefusedError');
  });

  test('the resolver is reached on port 53 and on no other', async () => {
    const resolver = await nodeResolver();
    if (resolver === undefined) return; // The engine asks a loopback resolver itself; there is no exception to test.
    const { stdout } = await sandbox.run('getent ahostsv4 deb.debian.org | head -1; cat /etc/resolv.conf');
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\.\d+/);
    expect(stdout).not.toMatch(/^search/m);
    expect(
      await reached(
        sandbox,
        [80, 443, 853, 5353].map((port) => [resolver, port]),
      ),
    ).toEqual([]);
  });

  test('there is no IPv6', async () => {
    const { stdout } = await sandbox.run(
      'cat /proc/net/if_inet6; cat /proc/sys/net/ipv6/conf/*/disable_ipv6 | sort -u',
    );
    expect(stdout.trim()).toBe('1');
    const { exit } = await sandbox.run('echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6');
    expect(exit.exitCode).not.toBe(0);
  });

  test('nobody outside opens a connection to a sandbox', async () => {
    const rules = await host('iptables-save', '-t', 'security');
    expect(rules).toMatch(
      new RegExp(`-A GBX-${its.installationId}-BACK -m conntrack ! --ctstate RELATED,ESTABLISHED -j DROP`),
    );
  });
});

describe('the rules', () => {
  const probe = (): Promise<string[]> => reached(sandbox, [['172.17.0.1', servicePort]]);
  const chain = (name: string): string => `GBX-${its.installationId}-${name}`;

  test('are put back after the filter table is flushed, and hold meanwhile', async () => {
    const bridge = `gbx${its.installationId}`;
    await host('iptables', '-w', '-D', 'FORWARD', '-i', bridge, '-j', chain('OUT'));
    await host('iptables', '-w', '-D', 'INPUT', '-i', bridge, '-j', chain('NODE'));
    await host('iptables', '-w', '-F', chain('OUT'));
    await host('iptables', '-w', '-F', chain('NODE'));
    expect(await probe()).toEqual([]);
    expect(await reached(sandbox, [['10.0.0.1', 53]])).toEqual([]);
    await waitFor(
      'the rules to be put back',
      async () => (await host('iptables', '-S', 'FORWARD')).includes(`-i ${bridge} -j ${chain('OUT')}`),
      10_000,
    );
    expect(its.logged.some((line) => line.includes('firewall_put_back'))).toBe(true);
  });

  test('are not outranked by an allow rule that comes before them', async () => {
    const bridge = `gbx${its.installationId}`;
    const allow = ['INPUT', '-i', bridge, '-p', 'tcp', '--dport', String(servicePort), '-j', 'ACCEPT'];
    await host('iptables', '-w', '-I', ...allow);
    try {
      expect(await probe()).toEqual([]);
      await waitFor(
        'the jump to be on top again',
        async () => (await host('iptables', '-S', 'INPUT')).split('\n')[1]?.includes(chain('NODE')),
        10_000,
      );
    } finally {
      await host('iptables', '-w', '-D', ...allow);
    }
  });
});

describe('network off', () => {
  test('has no interface but loopback and reaches nothing', async () => {
    const cut = await its.start({ network: 'off' });
    const { stdout } = await cut.run('ls /sys/class/net');
    expect(stdout.trim()).toBe('lo');
    expect(
      await reached(cut, [
        ['172.17.0.1', servicePort],
        ['203.0.113.1', 80],
      ]),
    ).toEqual([]);
    await cut.remove();
  });
});

test('dispose leaves no network, bridge, chain or container of the installation and touches no other', async () => {
  const other = await startTestEngine();
  const own = await other.start({ network: 'on' });
  await own.session.close();
  await other.dispose();
  const left = [
    await host('iptables-save'),
    await host('ip6tables-save'),
    await host('ebtables', '-L'),
    await host('docker', 'network', 'ls'),
    await host('docker', 'ps', '-a', '--no-trunc'),
    await host('ls', '/sys/class/net'),
  ].join('\n');
  expect(left).not.toContain(other.installationId);
  expect(left).toContain(its.installationId);
  expect(its.engine.networks).toEqual(['on', 'off']);
  expect(await its.engine.list()).toHaveLength(2);
});
