import { limits } from './limits.ts';

/** What the host name of a request says, read against the configured domain. */
export type SandboxHost =
  /** Not under the domain. */
  | { kind: 'foreign' }
  /** `sandbox.<domain>`: which sandbox is meant the headers say, as on the API's own host. */
  | { kind: 'shared' }
  /** `suffix`: what a preview is signed with, or the client id that old clients put there. */
  | { kind: 'port'; port: number; sandboxId: string; suffix: string | undefined }
  | { kind: 'malformed'; part: 'host' | 'port' };

const portLabel = /^([0-9]{1,8})-([a-z0-9]{1,63})(?:-([a-z0-9]{1,63}))?$/;

/** `8000-<id>.<domain>`, as clients are told; with a suffix, `8000-<id>-<suffix>.<domain>`. */
export const sandboxHost = (domain: string, port: number, sandboxId: string, suffix?: string): string =>
  `${port}-${sandboxId}${suffix === undefined ? '' : `-${suffix}`}.${domain}`;

export const hostnameOf = (domain: string): string => domain.replace(/:\d+$/, '');

/**
 * Total. `apiHostname` is the control plane's, which may lie under the domain (api.example.com beside 8000-<id>.example.com); everything else
 * there is a sandbox's or nobody's. Ports of the authorities are not looked at: a proxy in front may listen on another one.
 */
export const readSandboxHost = (
  domain: string | undefined,
  apiHostname: string,
  requestHostname: string,
): SandboxHost => {
  const hostname = requestHostname.toLowerCase().replace(/\.$/, '');
  if (domain === undefined || hostname === apiHostname) return { kind: 'foreign' };
  const base = hostnameOf(domain);
  if (hostname === base) return { kind: 'malformed', part: 'host' };
  if (!hostname.endsWith(`.${base}`)) return { kind: 'foreign' };
  const label = hostname.slice(0, -base.length - 1);
  if (label === 'sandbox') return { kind: 'shared' };
  const [, digits, sandboxId, suffix] = portLabel.exec(label) ?? [];
  if (digits === undefined || sandboxId === undefined) return { kind: 'malformed', part: 'host' };
  const port = Number(digits);
  return isPort(port) ? { kind: 'port', port, sandboxId, suffix } : { kind: 'malformed', part: 'port' };
};

export const isPort = (port: number): boolean => Number.isInteger(port) && port >= 1 && port <= limits.portMax;
