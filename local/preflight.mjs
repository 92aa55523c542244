// Plain JavaScript that Node 18 can run. Gathers facts about the machine, judges them, answers each problem in one
// sentence that says what to do. Nothing is installed, started or written here. Virtualization (KVM) is not needed.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync, statfsSync } from 'node:fs';
import { request } from 'node:http';
import { connect, createServer } from 'node:net';
import { dirname } from 'node:path';
import { describeRunning } from './holder.mjs';

const MIN_NODE = 20;
/** What find-node.mjs finds once `npm ci` was run. */
const OUR_NODE = 24;
const PING_DEADLINE_MS = 3_000;
const MIRROR_DEADLINE_MS = 8_000;
const APT_DEADLINE_MS = 20_000;
/** Packages, the base image with its build, and room to work; and what a later start still needs. */
const FIRST_START_GIB = 4;
const LATER_START_GIB = 1;
const GIB = 2 ** 30;

/**
 * @typedef {object} Facts
 * @property {string} nodeVersion such as "24.1.0"
 * @property {string} platform
 * @property {number} uid
 * @property {{ path: string, freeBytes: number, neededBytes: number }[]} disks
 * @property {{ port: number, takenBy: string | undefined, problem: string | undefined }} port takenBy: set if it is taken
 * @property {'answers' | 'forbidden' | 'silent'} engine by ping: a docker client alone is no engine
 * @property {boolean} engineGiven by DOCKER_HOST
 * @property {string | undefined} socketPath
 * @property {boolean} dockerd installed, whether it runs or not
 * @property {string | undefined} foreignEngine docker-ce or containerd.io, if that is installed
 * @property {boolean} apt
 * @property {string[]} missingPackages
 * @property {string | undefined} unreachableMirror the host that does not answer, if packages are to be fetched
 */

/**
 * @param {Facts} facts
 * @returns {string[]} one sentence a problem
 */
export function judge(facts) {
  const problems = [];
  const major = Number(facts.nodeVersion.split('.')[0]);
  if (major >= MIN_NODE && major < OUR_NODE) {
    problems.push(
      'node_modules has no Node 24 for this machine: run `npm ci` without --omit=optional (linux x64 or arm64).',
    );
  }
  if (major < MIN_NODE) {
    problems.push(
      `Node ${facts.nodeVersion} is too old: install Node ${MIN_NODE} or newer, run npm ci again, then npm start.`,
    );
  }
  if (facts.platform !== 'linux') {
    problems.push(
      `Sandboxes are Linux containers and this is ${facts.platform}: run Glovebox on a Linux machine or VM.`,
    );
  }
  if (facts.uid !== 0) {
    problems.push('Glovebox drives Docker and the firewall and needs root: run `sudo npm start` instead.');
  }
  for (const { path, freeBytes, neededBytes } of facts.disks) {
    if (freeBytes >= neededBytes) continue;
    problems.push(
      `The disk of ${path} has ${gib(freeBytes)} GiB free and ${gib(neededBytes)} GiB are needed: free some room.`,
    );
  }
  if (facts.port.takenBy !== undefined) {
    problems.push(
      `Port ${facts.port.port} is taken by ${facts.port.takenBy}: stop that, or choose another with \`npm start -- --port <number>\`.`,
    );
  }
  if (facts.port.problem !== undefined) problems.push(facts.port.problem);
  problems.push(...judgeEngine(facts));
  if (facts.missingPackages.length > 0 && !facts.apt) {
    problems.push(
      `${facts.missingPackages.join(', ')}: missing, and this machine has no apt-get: install them yourself and start again.`,
    );
  } else if (facts.unreachableMirror !== undefined) {
    problems.push(
      `${facts.missingPackages.join(', ')} must be installed, but the package mirror ${facts.unreachableMirror} ` +
        'can’t be reached: check the network or /etc/apt/sources.list.',
    );
  }
  return problems;
}

/** @param {Facts} facts */
function judgeEngine(facts) {
  if (facts.engine === 'answers' || facts.uid !== 0) return [];
  if (facts.engineGiven) {
    return [`No Docker engine answers at DOCKER_HOST=unix://${facts.socketPath}: start it, or unset DOCKER_HOST.`];
  }
  if (facts.foreignEngine !== undefined && !facts.dockerd) {
    return [
      `${facts.foreignEngine} is installed without a running engine, and Debian’s docker.io can’t live beside it: ` +
        'install docker-ce and start it.',
    ];
  }
  return [];
}

/** @param {number} bytes */
function gib(bytes) {
  return (bytes / GIB).toFixed(1);
}

/**
 * @param {import('./options.mjs').Options} options
 * @returns {Promise<Facts>}
 */
export async function gatherFacts(options) {
  const socketPath = options.dockerSocket ?? '/var/run/docker.sock';
  const engine = await pingEngine(socketPath);
  const dockerd = ['/usr/sbin/dockerd', '/usr/bin/dockerd', '/usr/local/bin/dockerd'].some((path) => existsSync(path));
  const needsEngine = engine !== 'answers' && !dockerd && options.dockerSocket === undefined;
  const missingPackages = [
    ...(existsSync('/usr/sbin/iptables') ? [] : ['iptables']),
    ...(existsSync('/usr/bin/tini-static') ? [] : ['tini']),
    ...(options.redisUrl !== undefined || existsSync('/usr/bin/redis-server') ? [] : ['redis-server']),
    ...(needsEngine ? ['docker.io'] : []),
  ];
  const apt = existsSync('/usr/bin/apt-get');
  const neededBytes = (missingPackages.length > 0 || engine !== 'answers' ? FIRST_START_GIB : LATER_START_GIB) * GIB;
  return {
    nodeVersion: process.versions.node,
    platform: process.platform,
    uid: process.getuid?.() ?? 0,
    disks: measureDisks([options.dataDir, '/var/lib/docker'], neededBytes),
    port: await probePort(options.port, options.bind),
    engine,
    engineGiven: options.dockerSocket !== undefined,
    socketPath,
    dockerd,
    foreignEngine: findForeignEngine(),
    apt,
    missingPackages,
    unreachableMirror: missingPackages.length > 0 && apt ? await findUnreachableMirror() : undefined,
  };
}

/**
 * @param {string} socketPath
 * @returns {Promise<'answers' | 'forbidden' | 'silent'>}
 */
export function pingEngine(socketPath) {
  return new Promise((resolve) => {
    const ping = request({ socketPath, path: '/_ping', timeout: PING_DEADLINE_MS }, (response) => {
      response.resume();
      resolve(response.statusCode === 200 ? 'answers' : 'silent');
    });
    ping.on('timeout', () => ping.destroy());
    ping.on('error', (error) => resolve('code' in error && error.code === 'EACCES' ? 'forbidden' : 'silent'));
    ping.end();
  });
}

/**
 * @param {string[]} paths
 * @param {number} neededBytes
 */
function measureDisks(paths, neededBytes) {
  /** @type {Map<string, { path: string, freeBytes: number, neededBytes: number }>} */
  const disks = new Map();
  for (const path of paths) {
    let there = path;
    while (!existsSync(there)) there = dirname(there);
    // Node 18 before 18.15 has no statfs: too old anyway, and told so.
    if (typeof statfsSync !== 'function') continue;
    const { bavail, bsize, blocks, type } = statfsSync(there);
    // One sentence a disk, however many of our folders lie on it.
    disks.set(`${type} ${blocks} ${bavail}`, { path, freeBytes: bavail * bsize, neededBytes });
  }
  return [...disks.values()];
}

/**
 * @param {number} port
 * @param {string | undefined} bind
 * @returns {Promise<Facts['port']>}
 */
async function probePort(port, bind) {
  for (const host of bind === undefined ? ['127.0.0.1', '::1'] : [bind]) {
    const code = await tryListen(port, host);
    if (code === 'EADDRINUSE') return { port, takenBy: findListener(port) ?? 'another process', problem: undefined };
    if (code === 'EACCES') return { port, takenBy: undefined, problem: `Port ${port} needs root.` };
    // A machine without IPv6 has no ::1, which is no problem.
    if (code !== undefined && bind !== undefined) {
      return { port, takenBy: undefined, problem: `--bind ${bind}: this machine can’t listen there (${code}).` };
    }
  }
  return { port, takenBy: undefined, problem: undefined };
}

/**
 * @param {number} port
 * @param {string} host
 * @returns {Promise<string | undefined>} the error's code
 */
function tryListen(port, host) {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error) => resolve('code' in error ? String(error.code) : error.message));
    server.listen(port, host, () => server.close(() => resolve(undefined)));
  });
}

/**
 * The process that listens on a TCP port, by the socket's inode.
 * @param {number} port
 */
function findListener(port) {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const inodes = new Set();
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6']) {
    if (!existsSync(file)) continue;
    for (const line of readFileSync(file, 'utf8').split('\n')) {
      const fields = line.trim().split(/\s+/);
      if (fields[1]?.endsWith(`:${hex}`) && fields[3] === '0A') inodes.add(`socket:[${fields[9]}]`);
    }
  }
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      for (const fd of readdirSync(`/proc/${pid}/fd`)) {
        if (!inodes.has(readlinkSync(`/proc/${pid}/fd/${fd}`))) continue;
        return `${readFileSync(`/proc/${pid}/comm`, 'utf8').trim()} (pid ${pid})`;
      }
    } catch {
      // The process ended meanwhile, or is not ours to look into.
    }
  }
  return undefined;
}

function findForeignEngine() {
  if (!existsSync('/usr/bin/dpkg-query')) return undefined;
  const installed = execFileSync('/usr/bin/dpkg-query', ['-W', '-f=${Package} ${db:Status-Status}\n'], {
    encoding: 'utf8',
    timeout: APT_DEADLINE_MS,
    maxBuffer: 16 * 2 ** 20,
  });
  return /^(docker-ce|containerd\.io) installed$/m.exec(installed)?.[1];
}

/** The hosts that apt would ask (its proxy, where it has one); the first of them if not one answers. */
async function findUnreachableMirror() {
  const read = (/** @type {string[]} */ args, /** @type {string} */ program) => {
    try {
      return execFileSync(program, args, {
        encoding: 'utf8',
        timeout: APT_DEADLINE_MS,
        stdio: ['ignore', 'pipe', 'ignore'],
      });
    } catch {
      return '';
    }
  };
  const proxy =
    /Acquire::http::Proxy "([^"]+)"/i.exec(read(['dump'], '/usr/bin/apt-config'))?.[1] ?? process.env['http_proxy'];
  const uris = proxy
    ? [proxy]
    : (read(['--print-uris', 'update'], '/usr/bin/apt-get').match(/https?:\/\/[^/'\s]+/g) ?? []);
  const hosts = [...new Set(uris)];
  const answers = await Promise.all(hosts.map((uri) => canConnect(new URL(uri))));
  return answers.includes(true) ? undefined : (hosts[0] ?? '(none is configured)');
}

/** @param {URL} url */
function canConnect(url) {
  return new Promise((resolve) => {
    const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80);
    const socket = connect({ host: url.hostname, port, timeout: MIRROR_DEADLINE_MS });
    const end = (/** @type {boolean} */ answer) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => end(true));
    socket.once('timeout', () => end(false));
    socket.once('error', () => end(false));
  });
}

/**
 * Every sentence that the machine deserves for these options; none if all is well.
 * @param {import('./options.mjs').Options} options
 */
export async function findProblems(options) {
  const running = await describeRunning(options.dataDir);
  if (running !== undefined) return [running];
  return judge(await gatherFacts(options));
}
