import type { Context as HonoContext } from 'hono';
import type { SandboxAccess } from '../core/access/sandbox-access.ts';
import { ServiceError } from '../core/errors.ts';
import type { Context, PortAnswer, PortContent, PortRequest, PortSocket } from '../core/ports.ts';
import { answerHeaders, type AnsweredOn } from '../core/traffic/answer-headers.ts';
import { hostFor, requestHeaders, type AskedFor } from '../core/traffic/request-headers.ts';
import { openPortSocket, requestPort } from '../core/traffic/request-port.ts';
import type { AppEnv } from './app-env.ts';
import { bodyOf } from './request-bytes.ts';

type Handled = HonoContext<AppEnv>;

/** Content up to this goes along with the request's head. */
const inlineMaxBytes = 64 * 1024;
const headMaxBytes = 64 * 1024;
const targetMaxBytes = 16 * 1024;

export interface PortExchange {
  access: SandboxAccess;
  port: number;
  /** Path and query as the server inside is asked for them. */
  target: string;
  asked: AskedFor;
  on: AnsweredOn;
}

/** Passes the request on to a server in the sandbox, and its answer back. Throws what the verb throws. */
export const exchangeWithPort = async (c: Handled, ctx: Context, exchange: PortExchange): Promise<Response> => {
  const request = await readRequest(c, ctx, exchange);
  if (c.req.header('upgrade')?.toLowerCase() === 'websocket') {
    const protocols = offeredProtocols(c.req.header('sec-websocket-protocol'));
    const answer = await openPortSocket(ctx, exchange.access, request, protocols);
    c.set('fromPort', true);
    return answer.kind === 'socket' ? upgraded(answer) : respond(ctx, answer, exchange.on);
  }
  const answer = await requestPort(ctx, exchange.access, request, await readContent(c));
  c.set('fromPort', true);
  ctx.after(answer.sent);
  return respond(ctx, answer, exchange.on);
};

const readRequest = async (
  c: Handled,
  ctx: Context,
  { access, port, target, asked }: PortExchange,
): Promise<PortRequest> => {
  if (target.length > targetMaxBytes) {
    throw new ServiceError('invalid_argument', `Path and query may have at most ${targetMaxBytes} bytes.`);
  }
  const host = hostFor(access.maskRequestHost, port, asked);
  const isOurs = (value: string) => ctx.ownCredentials.heldBy(value);
  const headers = await requestHeaders(c.req.raw.headers, host, asked, isOurs);
  const bytes = headers.reduce((sum, [name, value]) => sum + name.length + value.length + 4, target.length);
  if (bytes > headMaxBytes || headers.length > 250) {
    throw new ServiceError('invalid_argument', `The headers may have at most ${headMaxBytes} bytes, and be 250.`);
  }
  return { port, method: c.req.method, target, headers };
};

/** Small content of a known length is read here; all other streams. */
const readContent = async (c: Handled): Promise<PortContent> => {
  const { body, contentBytes } = bodyOf(c);
  if (body === null) return c.req.header('content-length') === undefined ? null : new Uint8Array();
  if (contentBytes === null || contentBytes > inlineMaxBytes) return { stream: body, contentBytes };
  return new Uint8Array(await new Response(body).arrayBuffer());
};

const offeredProtocols = (header: string | undefined): string[] =>
  header === undefined
    ? []
    : header
        .split(',')
        .map((protocol) => protocol.trim())
        .filter((protocol) => protocol !== '');

const upgraded = ({ upgraded: { webSocket }, protocol }: PortSocket): Response => {
  const headers = protocol === '' ? {} : { 'sec-websocket-protocol': protocol };
  return new Response(null, { status: 101, webSocket, headers });
};

const respond = (ctx: Context, answer: PortAnswer, on: AnsweredOn): Response => {
  const headers = new Headers();
  for (const [name, value] of answerHeaders(answer.headers, on, answer.body === null)) headers.append(name, value);
  // What the server has encoded stays as it is.
  const init = { status: answer.status, headers, encodeBody: 'manual' } as const;
  const { body, contentBytes } = answer;
  if (body === null || body instanceof Uint8Array) return new Response(body, init);
  if (contentBytes === undefined) return new Response(body, init);
  const { readable, writable } = new FixedLengthStream(contentBytes);
  ctx.after(body.pipeTo(writable).catch((error: unknown) => ctx.log('warn', "a port's answer was cut", error)));
  return new Response(readable, init);
};

/** Path and query as they were written, not as a URL parser would write them. */
export const targetOf = (url: string): string => {
  const at = url.indexOf('/', url.indexOf('://') + 3);
  const target = at < 0 ? '/' : url.slice(at);
  const fragment = target.indexOf('#');
  return fragment < 0 ? target : target.slice(0, fragment);
};

/** By the edge's word; undefined: there is none. */
export const clientAddressOf = (c: Handled): string | undefined => c.req.header('cf-connecting-ip');

/** How the client came here: by the edge's word where there is an edge, else by the request's own. */
export const askedFor = (c: Handled, signedSuffix: string | undefined, underPath: boolean): AskedFor => {
  const { host, protocol } = new URL(c.req.url);
  const forwarded = c.req.header('x-forwarded-proto')?.toLowerCase();
  const scheme = forwarded === 'https' || forwarded === 'http' ? forwarded : protocol === 'https:' ? 'https' : 'http';
  const written = c.req.header('host') ?? host;
  const authority = signedSuffix === undefined ? written : written.replace(`-${signedSuffix}.`, '.');
  const clientAddress = clientAddressOf(c) ?? c.req.header('x-forwarded-for');
  return {
    authority,
    signedAuthority: signedSuffix === undefined ? undefined : written,
    scheme,
    clientAddress,
    underPath,
  };
};
