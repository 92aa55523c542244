/** The way of presigned URLs to the local R2. */
import {
  createServer,
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { pipeline } from 'node:stream/promises';

/** Where Miniflare's own socket answers as S3 does, with signatures. */
export const S3_PATH = '/cdn-cgi/local/r2/s3';
/** A URL's own lifetime, and longer than any part should take. */
const REQUEST_DEADLINE_MS = 3600_000;

export interface S3Gate {
  port: number;
  /** Miniflare's own address; undefined while it doesn't run. */
  forwardTo(target: URL | undefined): void;
  stop(): Promise<void>;
}

/**
 * Miniflare's own socket serves R2's objects without a key as well, so nobody may be told of it, and its port changes with each start. This one
 * stays, and lets nothing but S3 requests through. The system chooses the port while it is bound: there is no moment to lose it in.
 */
export async function startS3Gate(host: string): Promise<S3Gate> {
  let target: URL | undefined;
  const server = createServer({ requestTimeout: REQUEST_DEADLINE_MS }, (request, response) => {
    void forward(target, request, response).catch(() => response.destroy());
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, host, () => {
      const address = server.address();
      if (address !== null && typeof address === 'object') resolve(address.port);
      else reject(new Error('the S3 gate has no port'));
    });
  });
  return {
    port,
    forwardTo: (next) => {
      target = next;
    },
    stop: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error ? reject(error) : resolve()));
        server.closeAllConnections();
      }),
  };
}

async function forward(target: URL | undefined, request: IncomingMessage, response: ServerResponse): Promise<void> {
  // As the URL reads in the end, not as it is written: "…/s3/../public/…" is another place.
  const url = URL.parse(request.url ?? '/', 'http://gate');
  if (!url?.pathname.startsWith(`${S3_PATH}/`)) return void response.writeHead(404).end();
  // Miniflare obeys it unsigned: a URL for a few bytes would take another object, of any size and anybody's.
  if (request.headers['x-amz-copy-source'] !== undefined) return void response.writeHead(403).end();
  if (!target) return void response.writeHead(503, { 'retry-after': '1' }).end();
  const { hostname: host, port } = target;
  // The Host header stays: it is signed.
  const { method, headers } = request;
  const onward = httpRequest({ host, port, method, headers, path: url.pathname + url.search });
  response.on('close', () => onward.destroy());
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    onward.once('response', resolve);
    onward.once('error', reject);
  });
  const sent = pipeline(request, onward);
  const answer = await Promise.race([answered, sent.then(() => answered)]);
  response.writeHead(answer.statusCode ?? 502, headersOf(answer, method, url));
  // An answer that came before all was sent, a refusal, is passed on whatever becomes of the rest.
  sent.catch(() => undefined);
  await pipeline(answer, response);
}

/** What a presigned GET says of the answer's headers: R2 does it, Miniflare does not. The query is signed, so it is ours. */
function headersOf(answer: IncomingMessage, method: string | undefined, url: URL): IncomingHttpHeaders {
  const { statusCode = 0, headers } = answer;
  if (method !== 'GET' || statusCode < 200 || statusCode > 299) return headers;
  const said = ['content-type', 'content-disposition'].flatMap((name) => {
    const value = url.searchParams.get(`response-${name}`);
    return value === null ? [] : [[name, value]];
  });
  return { ...headers, ...Object.fromEntries(said) };
}
