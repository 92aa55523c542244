// Plain JavaScript that Node 18 can run: the preflight reads the options before anything else is loaded.
import { isIP } from 'node:net';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const projectRoot = dirname(dirname(fileURLToPath(import.meta.url)));

export const DEFAULT_PORT = 8029;

export const USAGE = `npm start [-- options]
  --port <number>       the port to listen on (${DEFAULT_PORT})
  --data-dir <folder>   where the installation keeps its state (.glovebox)
  --bind <address>      listen on this address instead of 127.0.0.1 and ::1
  --expose              needed beside --bind when the address is not a loopback one
  SANDBOX_DOMAIN=…      what host names of sandboxes' ports end with (sandbox.localhost:<port>)
  REDIS_URL=redis://…   use this Redis instead of starting one
  DOCKER_HOST=unix://…  use this Docker engine instead of finding or starting one`;

/**
 * @typedef {object} Options
 * @property {number} port
 * @property {string} dataDir absolute
 * @property {string | undefined} bind
 * @property {string | undefined} sandboxDomain
 * @property {string | undefined} redisUrl
 * @property {string | undefined} dockerSocket
 */

/** What the caller got wrong, in one sentence. */
export class BadOption extends Error {}

/**
 * @param {string[]} args
 * @param {Record<string, string | undefined>} env
 * @returns {Options}
 */
export function readOptions(args, env) {
  const values = parse(args);
  const bind = values.bind;
  if (bind !== undefined && isIP(bind) === 0) throw new BadOption(`--bind ${bind}: not an IP address.`);
  if (bind !== undefined && !isLoopback(bind) && values.expose !== true) {
    throw new BadOption(`--bind ${bind} lets other machines reach the API: add --expose if that is meant.`);
  }
  return {
    port: readPort(values.port),
    dataDir: resolve(projectRoot, readText('--data-dir', values['data-dir'] ?? '.glovebox')),
    bind,
    sandboxDomain: readSandboxDomain(env['SANDBOX_DOMAIN']),
    redisUrl: readRedisUrl(env['REDIS_URL']),
    dockerSocket: readDockerSocket(env['DOCKER_HOST']),
  };
}

/** @param {string[]} args */
function parse(args) {
  const options = /** @type {const} */ ({
    port: { type: 'string' },
    'data-dir': { type: 'string' },
    bind: { type: 'string' },
    expose: { type: 'boolean' },
  });
  try {
    return parseArgs({ args, options, strict: true, allowPositionals: false }).values;
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('. ')[0] : String(error);
    throw new BadOption(`${reason}.\n${USAGE}`);
  }
}

/** @param {string | undefined} text */
function readPort(text) {
  if (text === undefined) return DEFAULT_PORT;
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1 || port > 65_535) {
    throw new BadOption(`--port ${text}: a port is a number from 1 to 65535.`);
  }
  return port;
}

/**
 * @param {string} name
 * @param {string} text
 */
function readText(name, text) {
  if (text.trim() === '') throw new BadOption(`${name} must not be empty.`);
  return text;
}

/** @param {string | undefined} domain */
function readSandboxDomain(domain) {
  if (domain === undefined || domain === '') return undefined;
  if (!/^[a-z0-9-]+(\.[a-z0-9-]+)*(:\d+)?$/.test(domain)) {
    throw new BadOption(`SANDBOX_DOMAIN=${domain}: a host name in lower case, with :port where it has one.`);
  }
  return domain;
}

/** @param {string | undefined} url */
function readRedisUrl(url) {
  if (url === undefined || url === '') return undefined;
  if (!/^rediss?:\/\//.test(url)) throw new BadOption('REDIS_URL must begin with redis:// or rediss://.');
  return url;
}

/** @param {string | undefined} host */
function readDockerSocket(host) {
  if (host === undefined || host === '') return undefined;
  const path = /^unix:\/\/(\/.+)$/.exec(host)?.[1];
  if (path === undefined) {
    throw new BadOption(
      `DOCKER_HOST=${host}: only an engine of this machine is supported, as unix:///path/to/docker.sock.`,
    );
  }
  return path;
}

/** @param {string} address */
export function isLoopback(address) {
  return address === '::1' || (isIP(address) === 4 && address.startsWith('127.'));
}
