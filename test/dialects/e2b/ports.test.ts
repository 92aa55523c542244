import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../wait-for.ts';
import { createE2b, type E2b } from './client.ts';
import { ask, open, PortServer } from './ports-server.ts';

/** Everything here goes without a network in the sandbox. */
let e2b: E2b;
let server: PortServer;
beforeAll(async () => {
  e2b = await createE2b();
  const { id } = await e2b.tenant.createSandbox({ timeoutSeconds: 900, network: 'off' });
  server = await PortServer.start(e2b.tenant, id);
});
afterAll(() => e2b.cleanUp());

/** How the client says it. */
const cut = /closed|terminated|aborted|reset|EOF/i;

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

interface Echo {
  method: string;
  url: string;
  headers: Record<string, string>;
  bytes: number;
  sha256: string;
}
const echo = async (...asked: Parameters<PortServer['ask']>): Promise<Echo> =>
  (await server.ask(...asked)).json() as Echo;

/** Gives a body in pieces, without a length. */
async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 100_000) yield bytes.subarray(at, at + 100_000);
}

describe('a request', () => {
  test.each(['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'REPORT'])(
    '%s arrives as it is',
    async (method) => {
      const url = '/echo?a=1&b=%20%2F%C3%A9&c';
      expect(await echo(url, { method })).toMatchObject({ method, url, bytes: 0 });
    },
  );

  test('HEAD gives the headers of GET and no body', async () => {
    const { status, headers, bytes } = await server.ask('/bytes?n=12345&length=1', { method: 'HEAD' });
    expect([status, headers['content-length'], bytes.length]).toEqual([200, '12345', 0]);
  });

  test.each([0, 1024, 300_000, 50_000_000])(
    'with a body of %i bytes arrives whole, with a length and without',
    async (size) => {
      const body = randomBytes(size);
      const wanted = { bytes: size, sha256: sha256(body) };
      expect(await echo('/echo', { method: 'POST', body })).toMatchObject(wanted);
      expect(await echo('/echo', { method: 'POST', body: pieces(body) as never })).toMatchObject(wanted);
    },
  );

  test.each([0, 1024, 300_000, 50_000_000])('is answered by %i bytes, with a length and without', async (n) => {
    for (const length of ['', '&length=1']) {
      const { status, bytes, headers } = await server.ask(`/bytes?n=${n}${length}`);
      expect([status, bytes.length, bytes.every((byte) => byte === 120)]).toEqual([200, n, true]);
      expect([undefined, String(n)]).toContain(headers['content-length']);
    }
  });

  test('20 MB flow back while they flow in', async () => {
    const body = randomBytes(20_000_000);
    const { bytes } = await server.ask('/back', { method: 'POST', body });
    expect(sha256(bytes)).toBe(sha256(body));
  });

  test.each([201, 204, 301, 304, 404, 418, 500, 503])('status %i comes back as it is', async (n) => {
    expect((await server.ask(`/status?n=${n}`)).status).toBe(n);
  });

  test('is answered in the encoding that the server chose, with each of its headers', async () => {
    const { headers, bytes } = await server.ask('/gzip', { headers: { 'accept-encoding': 'gzip' } });
    expect([headers['content-encoding'], String(gunzipSync(bytes))]).toEqual(['gzip', 'packed']);
    const { headers: twice } = await ask('/echo', { host: server.hostOf() });
    expect(twice['x-twice']).toEqual(['a', 'b']);
    expect(twice['set-cookie']).toEqual(['a=1; Path=/', 'b=2']);
  });

  test('brings nothing of ours to the server, and the Host that was asked for', async () => {
    const headers = {
      'x-api-key': e2b.options.apiKey,
      authorization: `Bearer ${e2b.tenant.key}`,
      'x-custom': 'kept',
      te: 'trailers',
      connection: 'close',
    };
    const { headers: seen } = await echo('/echo', { headers });
    expect(seen).toMatchObject({ 'x-custom': 'kept', 'x-forwarded-proto': 'http' });
    for (const name of ['x-api-key', 'authorization', 'e2b-sandbox-id', 'e2b-sandbox-port', 'te']) {
      expect(seen).not.toHaveProperty(name);
    }
    const byHost = (
      await ask('/echo', { host: server.hostOf(), headers: { 'x-forwarded-proto': 'https' } })
    ).json() as Echo;
    expect(byHost.headers).toMatchObject({
      host: server.hostOf(),
      'x-forwarded-host': server.hostOf(),
      'x-forwarded-proto': 'https',
    });
    const theirs = await echo('/echo', { headers: { authorization: 'Bearer theirs', 'x-api-key': 'theirs' } });
    expect(theirs.headers).toMatchObject({ authorization: 'Bearer theirs', 'x-api-key': 'theirs' });
  });

  test('by a host name cannot be sent to another sandbox by its headers', async () => {
    const other = await e2b.tenant.createSandbox({ timeoutSeconds: 60, network: 'off' });
    const headers = { 'e2b-sandbox-id': other.id, 'e2b-sandbox-port': '9' };
    expect((await ask('/echo', { host: server.hostOf(), headers })).status).toBe(200);
  });

  test('runs nothing on our own origin, and is left alone on the port’s own', async () => {
    const onOurs = await server.ask('/echo');
    expect(onOurs.headers).toMatchObject({
      'content-security-policy': "default-src 'none'; sandbox",
      'x-content-type-options': 'nosniff',
    });
    const onIts = await ask('/echo', { host: server.hostOf() });
    expect(onIts.headers).not.toHaveProperty('content-security-policy');
    expect(onIts.headers).not.toHaveProperty('cache-control');
  });

  test('of a header that is too large is refused, and of a path', async () => {
    expect((await server.ask('/echo', { headers: { 'x-large': 'x'.repeat(66_000) } })).status).toBe(400);
    expect((await server.ask(`/${'x'.repeat(17_000)}`)).status).toBe(400);
  });
});

describe('a stream', () => {
  test.each(['/events', '/trickle'])('%s: each piece comes before the next one is made', async (path) => {
    const { body, statusCode } = await open(path, { headers: server.headers() });
    expect(statusCode).toBe(200);
    const reader = body[Symbol.asyncIterator]();
    let seen = '';
    const until = async (text: string) => {
      while (!seen.includes(text)) seen += String((await reader.next()).value);
    };
    await until(path === '/events' ? 'data: 0' : 'first');
    for (const say of ['1', '2', '3']) {
      await server.ask(`/next?say=${say}`);
      await until(`data: ${say}\n\n`);
    }
    await server.ask('/finish');
    expect((await reader.next()).done).toBe(true);
  });

  /** workerd notices that a client is gone when it writes to it. */
  test('whose client goes away ends inside with its next byte', async () => {
    const gone = new AbortController();
    const { body } = await server.open('/events?leave', { signal: gone.signal });
    body.on('error', () => undefined);
    await once(body, 'readable');
    gone.abort();
    await waitFor(
      'the stream to end inside',
      async () => {
        await server.ask('/next?say=anybody');
        return (await server.gone()).includes('/events?leave');
      },
      10_000,
    );
    expect(gone.signal.aborted).toBe(true);
  });

  test('an upload that is cut is never taken for a whole one', async () => {
    const gone = new AbortController();
    const half = async function* () {
      yield randomBytes(400_000);
      await new Promise((_, reject) => gone.signal.addEventListener('abort', () => reject(new Error('cut'))));
    };
    const answer = server.ask('/echo?upload', { method: 'POST', body: half() as never, signal: gone.signal });
    answer.catch(() => undefined);
    setTimeout(() => gone.abort(), 2_000);
    await expect(answer).rejects.toThrow(cut);
    await waitFor(
      'the upload to be cut inside',
      async () => (await server.gone()).includes('cut /echo?upload'),
      10_000,
    );
  });

  test.each([100, 1_000_000])('that the server breaks off after %i bytes breaks, and never just ends', async (n) => {
    // What breaks before its head has gone on is an answer.
    const told = server.ask(`/break?n=${n}`).then(({ status }) => String(status));
    expect(await told.catch(String)).toMatch(/502|closed|terminated|aborted|reset|EOF/i);
  });

  test('a client that reads slowly holds the server back', async () => {
    const { body } = await open('/bytes?n=300000000&slow', { headers: server.headers() });
    const reader = body[Symbol.asyncIterator]();
    await reader.next();
    let before = -1;
    await waitFor(
      'the server to be held back',
      async () => {
        const sent = body.readableLength;
        const still = sent === before;
        before = sent;
        return still;
      },
      20_000,
      500,
    );
    expect(body.readableLength).toBeLessThan(10_000_000);
    body.on('error', () => undefined);
    body.destroy();
    await waitFor('it to end inside', async () => (await server.gone()).includes('/bytes?n=300000000&slow'), 10_000);
  });

  test('an answer that comes before the upload was read is the answer', async () => {
    const { status, text } = await server.ask('/early', { method: 'POST', body: randomBytes(5_000_000) });
    expect([status, text]).toEqual([413, 'too much']);
  });

  test('of a sandbox that is killed is cut, and no other one is', async () => {
    const { id } = await e2b.tenant.createSandbox({ timeoutSeconds: 600, network: 'off' });
    const doomed = await PortServer.start(e2b.tenant, id);
    const streams = await Promise.all([doomed, server].map((of) => of.open('/events?killed')));
    const [doomedEvents, kept] = streams.map(({ body }) => body[Symbol.asyncIterator]());
    await Promise.all([doomedEvents?.next(), kept?.next()]);
    const waiting = doomed.ask('/hold');
    await waitFor('the request inside', async () => (await doomed.ask('/holding')).text === '1', 5_000);
    await e2b.tenant.json(`/v1/sandboxes/${id}`, { method: 'DELETE' });
    await expect(doomedEvents?.next()).rejects.toThrow(cut);
    expect((await waiting).status).toBe(502);
    await server.ask('/next?say=alive');
    expect(String((await kept?.next())?.value)).toContain('alive');
    await server.ask('/finish');
    expect((await doomed.ask('/echo')).json()).toEqual({
      sandboxId: id,
      message: 'The sandbox was not found',
      code: 502,
    });
  });
});

describe('a server that misbehaves', () => {
  test.each([
    [8101, 'a header of 200 KB'],
    [8102, 'headers without end'],
    [8103, 'no HTTP'],
    [8104, '101 without being asked'],
    [8105, 'no answer'],
    [8106, 'a status that there is not'],
    [8108, 'a length and chunks'],
  ])('on port %i by %s is a 502', async (port) => {
    const answer = await server.ask('/', {}, port);
    expect([answer.status, answer.json()]).toEqual([
      502,
      expect.objectContaining({ sandboxId: server.id, port, code: 502 }),
    ]);
  });

  test.each([
    [8107, 'less than it said'],
    [8109, 'chunks that are none'],
  ])('on port %i by %s is told as broken', async (port) => {
    const told = await server.ask('/', {}, port).then(
      ({ status }) => status,
      () => 'broken',
    );
    expect([502, 'broken']).toContain(told);
  });

  test('HTTP/1.0 to the end of the connection is understood, and what is of one connection stays there', async () => {
    const { status, headers, text } = await server.ask('/', {}, 8110);
    expect([status, text, headers['x-open'], headers['x-secret'], headers['keep-alive']]).toEqual([
      200,
      'to the end',
      '2',
      undefined,
      undefined,
    ]);
  });
});

describe('what is not there', () => {
  test('a port that is not open is told as the proxy tells it, to people in HTML', async () => {
    const wanted = { sandboxId: server.id, message: 'The sandbox is running but port is not open', port: 9, code: 502 };
    const answer = await server.ask('/', {}, 9);
    expect([answer.status, answer.json()]).toEqual([502, wanted]);
    const browser = { 'user-agent': 'Mozilla/5.0 Firefox/140', accept: 'text/html,*/*' };
    const page = await server.ask('/', { headers: browser }, 9);
    expect(page.headers['content-type']).toContain('text/html');
    expect(page.text).toContain('port is not open');
    for (const program of [
      { ...browser, accept: '*/*' },
      { ...browser, 'sec-fetch-mode': 'cors' },
      { accept: 'text/html' },
    ]) {
      expect((await server.ask('/', { headers: program }, 9)).json()).toEqual(wanted);
    }
  });

  test('a sandbox that never was is 502, by each way; a malformed address is 400 and never the control plane', async () => {
    const missing = server.id.replace(/.{4}$/, (end) => (end === 'ffff' ? 'eeee' : 'ffff'));
    const gone = { sandboxId: missing, message: 'The sandbox was not found', code: 502 };
    const port = new URL(e2b.options.apiUrl).port;
    const byHost = (label: string) =>
      ask('/v1/sandboxes', {
        host: `${label}.sandbox.localhost:${port}`,
        headers: { authorization: `Bearer ${e2b.tenant.key}` },
      });
    expect((await ask('/', { headers: { 'e2b-sandbox-id': missing, 'e2b-sandbox-port': '8000' } })).json()).toEqual(
      gone,
    );
    expect((await byHost(`8000-${missing}`)).json()).toEqual(gone);
    for (const label of ['x', '0-abc', '99999-abc', 'api', '8000-abc.8000-abc']) {
      expect([label, (await byHost(label)).status]).toEqual([label, 400]);
    }
    expect((await ask('/health', { headers: { 'x-access-token': '0'.repeat(64) } })).status).toBe(502);
  });
});

test('256 requests at once are served, the next one is told to wait, and others are free again afterwards', async () => {
  const waiting = Array.from({ length: 256 }, () => server.ask('/hold?many'));
  // A question that has a place when the last of them comes keeps it out: another one takes its place.
  await waitFor(
    'all places to be taken',
    async () => {
      const { status } = await server.ask('/holding');
      if (status !== 429) waiting.push(server.ask('/hold?many'));
      return status === 429;
    },
    60_000,
  );
  const refused = await waitFor(
    'a refusal',
    async () => {
      const answer = await server.ask('/echo');
      return answer.status === 429 && answer;
    },
    10_000,
  );
  expect(refused.json()).toMatchObject({ sandboxId: server.id, code: 429, connectionLimit: 256 });
  // Commands have places of their own. Some may be on their way still.
  let settled = 0;
  for (const answer of waiting) void answer.finally(() => (settled += 1));
  const release = 'python3 -c "import urllib.request as r; r.urlopen(\'http://127.0.0.1:8000/release\')"';
  await waitFor(
    'all of them to be answered',
    () => server.exec(release).then(() => settled === waiting.length),
    90_000,
    500,
  );
  // The questions about it took a place now and then.
  const released = (await Promise.all(waiting)).filter(({ text }) => text === 'released');
  expect(released.length).toBeGreaterThan(250);
  expect((await server.ask('/echo')).status).toBe(200);
}, 150_000);
