import { createServer } from 'node:http';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BadOption, readOptions } from '../../local/options.mjs';
import { gatherFacts, judge } from '../../local/preflight.mjs';

type Facts = Parameters<typeof judge>[0];

const healthy: Facts = {
  nodeVersion: '24.1.0',
  platform: 'linux',
  uid: 0,
  disks: [{ path: '/srv', freeBytes: 9e9, neededBytes: 4e9 }],
  port: { port: 8029, takenBy: undefined, problem: undefined },
  engine: 'answers',
  engineGiven: false,
  socketPath: '/var/run/docker.sock',
  dockerd: true,
  foreignEngine: undefined,
  apt: true,
  missingPackages: [],
  unreachableMirror: undefined,
};

describe('a machine that', () => {
  const cases: [name: string, facts: Partial<Facts>, answer: RegExp][] = [
    ['has Node 18 is told what to install', { nodeVersion: '18.19.0' }, /^Node 18\.19\.0 is too old: install Node 20/],
    ['has no Node 24 package is told to run npm ci', { nodeVersion: '20.20.2' }, /run `npm ci`/],
    ['is no Linux is told so', { platform: 'darwin' }, /this is darwin/],
    ['lets another user start is told what to run instead', { uid: 1000 }, /`sudo npm start`/],
    [
      'has a full disk is told which',
      { disks: [{ path: '/srv', freeBytes: 1e9, neededBytes: 4e9 }] },
      /^The disk of \/srv has 0\.9/,
    ],
    [
      'uses the port is told by whom',
      { port: { port: 8029, takenBy: 'nginx (pid 7)', problem: undefined } },
      /^Port 8029 is taken by nginx \(pid 7\)/,
    ],
    [
      'cannot reach its mirror is told which',
      { missingPackages: ['docker.io'], unreachableMirror: 'http://mirror.test' },
      /^docker\.io must be installed, but the package mirror http:\/\/mirror\.test can’t be reached/,
    ],
    [
      'has docker-ce without an engine gets no docker.io beside it',
      { engine: 'silent', dockerd: false, foreignEngine: 'docker-ce' },
      /^docker-ce is installed without a running engine, and Debian’s docker\.io can’t live beside it/,
    ],
    [
      'names an engine that is silent is told so',
      { engine: 'silent', engineGiven: true },
      /^No Docker engine answers at DOCKER_HOST/,
    ],
    [
      'lacks packages and apt-get is told which',
      { missingPackages: ['tini'], apt: false },
      /^tini: missing, and this machine has no apt-get/,
    ],
  ];
  test.for(cases)('%s', ([, facts, answer]) => {
    const problems = judge({ ...healthy, ...facts });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(answer);
  });

  test('has all that is needed, or can install it, is told nothing', () => {
    expect(judge(healthy)).toEqual([]);
    expect(judge({ ...healthy, engine: 'silent', dockerd: false, missingPackages: ['docker.io'] })).toEqual([]);
  });
});

describe('on this machine', () => {
  let dataDir: string;
  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'glovebox-preflight-'));
  });
  afterAll(() => rm(dataDir, { recursive: true }));

  test('a taken port is traced to the process that listens', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    try {
      const facts = await gatherFacts({ ...readOptions(['--port', String(port)], {}), dataDir });
      expect(facts.port.takenBy).toMatch(new RegExp(`\\(pid ${process.pid}\\)$`));
    } finally {
      server.close();
    }
  });

  test('a socket file without an engine behind it counts as no engine', async () => {
    const socketPath = join(dataDir, 'docker.sock');
    const options = readOptions(['--port', '1'], { DOCKER_HOST: `unix://${socketPath}` });
    expect(judge({ ...(await gatherFacts({ ...options, dataDir })), uid: 0 }).join()).toContain(
      'No Docker engine answers',
    );
  });
});

describe('options', () => {
  const refused: [name: string, args: string[], env: Record<string, string>, answer: RegExp][] = [
    ['a port that is no number', ['--port', 'x'], {}, /--port x/],
    ['a port out of range', ['--port', '65536'], {}, /1 to 65535/],
    ['an unknown option', ['--prot', '1'], {}, /--port <number>/],
    ['a bind address that is no address', ['--bind', 'localhost'], {}, /not an IP address/],
    ['a bind address that others reach, without --expose', ['--bind', '0.0.0.0'], {}, /--expose/],
    ['an engine over TCP', [], { DOCKER_HOST: 'tcp://127.0.0.1:2375' }, /only an engine of this machine/],
    ['an engine over ssh', [], { DOCKER_HOST: 'ssh://root@host' }, /only an engine of this machine/],
    ['a REDIS_URL of another scheme', [], { REDIS_URL: 'http://127.0.0.1' }, /redis:\/\//],
  ];
  test.for(refused)('%s is refused', ([, args, env, answer]) => {
    expect(() => readOptions(args, env)).toThrow(BadOption);
    expect(() => readOptions(args, env)).toThrow(answer);
  });

  test('--expose allows an address that others reach; a loopback one needs nothing', () => {
    expect(readOptions(['--bind', '0.0.0.0', '--expose'], {}).bind).toBe('0.0.0.0');
    expect(readOptions(['--bind', '127.0.0.2'], {}).bind).toBe('127.0.0.2');
  });
});
