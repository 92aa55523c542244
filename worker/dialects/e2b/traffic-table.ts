import type { SandboxHost } from '../../core/traffic/sandbox-host.ts';
import { isPort } from '../../core/traffic/sandbox-host.ts';
import { limits } from '../../core/traffic/limits.ts';

/** What of a request decides whom it is for. */
export interface TrafficFacts {
  host: SandboxHost;
  /** The E2b-Sandbox headers. */
  sandboxId: string | undefined;
  sandboxPort: string | undefined;
  accessToken: string | undefined;
  /** An API key comes with it: X-API-KEY or a bearer. */
  keyed: boolean;
  method: string;
  path: string;
  /** Of the query. */
  signature: string | null;
  /** The embedded default, where it can be found out whose a signature is. */
  local: boolean;
}

export type Traffic =
  /** That port of that sandbox and no other. `suffix`: of a host name. */
  | { to: 'port'; by: 'host' | 'headers'; sandboxId: string; port: number; suffix: string | undefined }
  /** envd of the sandbox whose token it is. */
  | { to: 'owner of the token'; token: string }
  /** envd of the sandbox whose token has signed the URL. */
  | { to: 'signer' }
  | { to: 'nowhere'; message: 'Invalid host' | 'Invalid sandbox port' | 'Invalid sandbox ID' | 'missing header' }
  | { to: 'control plane' };

const sandboxIdShape = /^[a-z0-9]{1,64}$/;
const signedPath = '/files';

/**
 * Total: whom a request is for, decided once. A host name under the sandbox domain outranks everything and never falls through; then the
 * headers; then a token that comes alone, as old SDKs send it; then a signature that comes alone.
 */
export const trafficOf = (facts: TrafficFacts): Traffic => {
  const { host } = facts;
  switch (host.kind) {
    case 'port':
      return { to: 'port', by: 'host', sandboxId: host.sandboxId, port: host.port, suffix: host.suffix };
    case 'malformed':
      return { to: 'nowhere', message: host.part === 'port' ? 'Invalid sandbox port' : 'Invalid host' };
    case 'shared':
      return byHeaders(facts) ?? { to: 'nowhere', message: 'missing header' };
    case 'foreign':
      return byHeaders(facts) ?? byCredential(facts);
    default:
      return host satisfies never;
  }
};

/** The legacy form of an id, `<id>-<client>`, means `<id>`. */
const byHeaders = ({ sandboxId, sandboxPort }: TrafficFacts): Traffic | undefined => {
  if (sandboxId === undefined)
    return sandboxPort === undefined ? undefined : { to: 'nowhere', message: 'missing header' };
  const bare = sandboxId.replace(/-.*$/, '');
  if (!sandboxIdShape.test(bare)) return { to: 'nowhere', message: 'Invalid sandbox ID' };
  const port = sandboxPort === undefined ? limits.envdPort : portOf(sandboxPort);
  if (port === undefined) return { to: 'nowhere', message: 'Invalid sandbox port' };
  return { to: 'port', by: 'headers', sandboxId: bare, port, suffix: undefined };
};

const portOf = (text: string): number | undefined => {
  const port = /^[0-9]{1,8}$/.test(text) ? Number(text) : 0;
  return isPort(port) ? port : undefined;
};

const byCredential = (facts: TrafficFacts): Traffic => {
  const { accessToken, keyed, local, method, path, signature } = facts;
  if (!keyed && accessToken !== undefined) return { to: 'owner of the token', token: accessToken };
  const readsOrWrites = method === 'GET' || method === 'POST';
  if (!keyed && local && signature !== null && path === signedPath && readsOrWrites) return { to: 'signer' };
  return { to: 'control plane' };
};
