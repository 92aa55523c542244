import { Agent, request } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { acontextRoutes } from '../../../worker/dialects/acontext/route-table.ts';
import { installation } from '../../installation.ts';
import { acontextKeyOf, createAcontext, type Acontext } from './client.ts';
import { formOf } from './form.ts';

/** Requests with the headers that were captured from the SDKs, and no others: no library of ours adds one. */
let acontext: Acontext;
let disk: string;
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
beforeAll(async () => {
  acontext = await createAcontext();
  disk = (await acontext.data<{ id: string }>(201, 'POST', '/disk')).id;
});
afterAll(async () => {
  agent.destroy();
  await acontext.cleanUp();
});

interface Raw {
  status: number | undefined;
  type: string | undefined;
  location: string | undefined;
  body: { code?: number; data?: unknown };
}

const send = (method: string, path: string, headers: Record<string, string> = {}, body?: Buffer): Promise<Raw> =>
  new Promise((resolve, reject) => {
    const sent = {
      authorization: `Bearer ${acontextKeyOf(acontext.tenant.key)}`,
      accept: 'application/json',
      'user-agent': 'acontext-py/0.0.0',
      ...headers,
    };
    const call = request(`${installation().url}/api/v1${path}`, { method, headers: sent, agent }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode,
          type: response.headers['content-type'],
          location: response.headers.location,
          body: JSON.parse(Buffer.concat(chunks).toString() || '{}') as Raw['body'],
        }),
      );
    });
    call.on('error', reject).end(body);
  });

describe.each(['/sandbox', '/disk'])('POST %s', (path) => {
  test('without a body is 201 with Content-Length: 0 and no Content-Type, time and again over one connection', async () => {
    for (let count = 0; count < 3; count += 1) {
      const answer = await send('POST', path, { 'content-length': '0' });
      expect(answer).toMatchObject({ status: 201, type: 'application/json', body: { code: 0 } });
    }
  });
});

test('an answer is never a redirect, whatever slashes a path has', async () => {
  const filled = (path: string) => path.replaceAll(/\{.+?\}/g, '11111111-1111-4111-8111-111111111111');
  for (const { method, path } of acontextRoutes) {
    for (const odd of [`${filled(path)}/`, `/${filled(path)}`, filled(path).replaceAll('/', '//')]) {
      const { status, location } = await send(method, odd, { 'content-length': '0' });
      expect([method, odd, status, location]).toEqual([method, odd, 404, undefined]);
    }
  }
});

test('paths and patterns are read however the SDKs encode them', async () => {
  const form = formOf([
    { name: 'file_path', value: '/a b/' },
    { name: 'file', value: 'x', filename: 'TODO.é+%.md' },
  ]);
  const headers = { 'content-type': form.type, 'content-length': String(form.body.length) };
  expect(await send('POST', `/disk/${disk}/artifact`, headers, form.body)).toMatchObject({
    status: 201,
    body: { data: { path: '/a b/', filename: 'TODO.é+%.md' } },
  });
  const base = `/disk/${disk}/artifact`;
  for (const path of ['%2Fa+b%2FTODO.%C3%A9%2B%25.md', '/a%20b/TODO.%C3%A9%2B%25.md']) {
    const got = await send('GET', `${base}?file_path=${path}&with_content=true&with_public_url=false`);
    expect(got).toMatchObject({ status: 200, body: { data: { content: { raw: 'x' } } } });
  }
  for (const pattern of ['*TODO.%2A', '*TODO.*', '**%2F*.md', '%2A%2A/%2A.md', '/a+b/TODO.?%2B%25.md']) {
    const found = await send('GET', `${base}/glob?query=${pattern}&limit=100`);
    expect([pattern, found.body.data]).toEqual([pattern, [expect.objectContaining({ path: '/a b/' })]]);
  }
  expect(await send('DELETE', `${base}?file_path=%2Fa+b%2FTODO.%C3%A9%2B%25.md`)).toEqual({
    status: 200,
    type: 'application/json',
    location: undefined,
    body: { code: 0, msg: '' },
  });
});
