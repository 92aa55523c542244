import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { RunnerError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import { portHead, type PortHead, type PortHeaders, type PortRequest } from '../protocol/ports.ts';

/** Of one connection (RFC 9110, section 7.6.1, and what is obsolete); those that `Connection` names come on top. */
const hopByHop = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** What is known of a request's content before it is sent: nothing is sent, so many bytes, or some number of them. */
export type Framing = 'none' | number | 'chunked';

/** The edge has them in lower case, which is as good, but not to every server's own parser. */
const customaryCase = (name: string): string => name.replaceAll(/(?<=^|-)[a-z]/g, (letter) => letter.toUpperCase());

/** One request on a connection of its own. Nothing is sent before its content is written or ended. */
export function openRequest(connection: Duplex, request: PortRequest, framing: Framing): ClientRequest {
  const headers = request.headers.flatMap(([name, value]) => [customaryCase(name), value]);
  headers.push('Connection', 'close');
  if (framing === 'chunked') headers.push('Transfer-Encoding', 'chunked');
  else if (framing !== 'none') headers.push('Content-Length', String(framing));
  return httpRequest({
    createConnection: () => connection,
    method: request.method,
    path: request.target,
    headers,
    setDefaultHeaders: false,
    maxHeaderSize: limits.portHeadBytes,
    insecureHTTPParser: false,
  });
}

/** Its answer, once the head is there. Rejects with port_failed for whatever is no HTTP answer to it. */
export function responseOf(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once('response', resolve);
    const unasked = (_response: IncomingMessage, socket: Duplex): void => {
      socket.destroy();
      reject(new RunnerError('port_failed', 'The server in the sandbox changed the protocol without being asked to.'));
    };
    request.once('upgrade', unasked);
    request.once('connect', unasked);
    request.once('close', () => reject(unreadable(new Error('closed without an answer'))));
    // Stays: an error after the head is told by the body.
    request.on('error', (error) => reject(error instanceof RunnerError ? error : unreadable(error)));
  });
}

const unreadable = (cause: Error): RunnerError =>
  new RunnerError('port_failed', 'The server in the sandbox broke off, or did not answer in HTTP.', { cause });

/** Status and headers as they go on; what the sandbox says is believed only within bounds. */
export function headOf(response: IncomingMessage, method: string): Omit<PortHead, 'body'> & { bodyless: boolean } {
  const named = new Set((response.headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase()));
  const headers: PortHeaders = [];
  for (let at = 0; at + 1 < response.rawHeaders.length; at += 2) {
    const name = (response.rawHeaders[at] ?? '').toLowerCase();
    if (hopByHop.has(name) || named.has(name)) continue;
    headers.push([name, response.rawHeaders[at + 1] ?? '']);
  }
  const status = response.statusCode ?? 0;
  const bodyless = method === 'HEAD' || status === 204 || status === 205 || status === 304;
  const told = response.headers['content-length'];
  const contentBytes = told === undefined || bodyless ? {} : { contentBytes: Number(told) };
  const head = portHead.omit({ body: true }).safeParse({ status, headers, ...contentBytes });
  if (head.success) return { ...head.data, bodyless };
  throw new RunnerError('port_failed', 'The answer of the server in the sandbox cannot be passed on.', {
    cause: head.error,
  });
}
