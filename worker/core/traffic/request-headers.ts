import type { PortHeaders } from '../ports.ts';

/** Of one connection, or written anew by whoever sends the request on. */
const dropped = new Set([
  'connection',
  'content-length',
  'expect',
  'forwarded',
  'host',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'true-client-ip',
  'upgrade',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-forwarded-proto',
  'x-real-ip',
]);
/** Ours, of the edge before us, and of the WebSocket handshake, which is made anew. */
const droppedPrefixes = ['e2b-', 'cf-', 'cdn-', 'sec-websocket-'];

/** How the client asked. */
export interface AskedFor {
  /** Host and port as the client wrote them, without what a preview is signed with. */
  authority: string;
  /** The authority with it: the same in Origin and Referer is told without. */
  signedAuthority: string | undefined;
  scheme: 'http' | 'https';
  /** Known where the edge tells it. */
  clientAddress: string | undefined;
  /** A preview below a path of the API's own origin: its Cookie and Referer are the API's. */
  underPath: boolean;
}

/** The Host that a server inside sees: the one that was asked for, or the mask with its `${PORT}` filled in. */
export const hostFor = (mask: string | null, port: number, asked: AskedFor): string =>
  mask === null ? asked.authority : mask.replaceAll('${PORT}', String(port));

/** What goes on to the server inside. `isOurs` tells a value that holds a credential of ours: such a header stays here. */
export const requestHeaders = async (
  headers: Iterable<readonly [string, string]>,
  host: string,
  asked: AskedFor,
  isOurs: (value: string) => Promise<boolean>,
): Promise<PortHeaders> => {
  const all = [...headers].map(([name, value]) => [name.toLowerCase(), value] as const);
  const named = namedByConnection(all);
  const passed: PortHeaders = [['host', host]];
  for (const [name, value] of all) {
    if (dropped.has(name) || named.has(name) || droppedPrefixes.some((prefix) => name.startsWith(prefix))) continue;
    if (asked.underPath && (name === 'cookie' || name === 'referer')) continue;
    if (await isOurs(value)) continue;
    passed.push([name, unsigned(name, value, asked)]);
  }
  passed.push(['x-forwarded-host', asked.authority], ['x-forwarded-proto', asked.scheme]);
  if (asked.clientAddress !== undefined) passed.push(['x-forwarded-for', asked.clientAddress]);
  return passed;
};

const namedByConnection = (headers: readonly (readonly [string, string])[]): Set<string> =>
  new Set(
    headers
      .filter(([name]) => name === 'connection')
      .flatMap(([, value]) => value.split(',').map((name) => name.trim().toLowerCase())),
  );

const unsigned = (name: string, value: string, { signedAuthority, authority }: AskedFor): string =>
  signedAuthority !== undefined && (name === 'origin' || name === 'referer')
    ? value.replaceAll(signedAuthority, authority)
    : value;
