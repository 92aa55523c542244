import { connect } from 'node:net';
import { InvalidArgumentError, Sandbox, TimeoutError } from 'e2b';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { installation } from '../../installation.ts';
import { createE2b, type E2b } from './client.ts';

/** More than any buffer on the way holds: the client is still writing when it is answered. */
const large = new Uint8Array(32_000_000).fill(7).buffer;
const attempts = 4;

let e2b: E2b;
beforeAll(async () => {
  e2b = await createE2b();
});
afterAll(() => e2b.cleanUp());

test('what refuses a large upload is what the SDK tells, and not a broken connection', async () => {
  const sandbox = await e2b.create();
  const other = await Sandbox.connect(sandbox.sandboxId, e2b.options);
  await expect(sandbox.files.write('/etc/passwd/x', large)).rejects.toThrow(InvalidArgumentError);
  await sandbox.kill();
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    await expect(other.files.write('/tmp/x', large)).rejects.toThrow(TimeoutError);
    await expect(other.files.write('/tmp/x', large, { useOctetStream: true })).rejects.toThrow(TimeoutError);
  }
});

test('so it is for who has no key, or names what is not there', async () => {
  const path = '/files/content?path=/tmp/x';
  const put = (id: string, key: string) =>
    fetch(`${installation().url}/v1/sandboxes/${id}${path}`, {
      method: 'PUT',
      body: large,
      headers: { authorization: `Bearer ${key}` },
    }).then(async (response) => [response.status, ((await response.json()) as { error: { code: string } }).error.code]);
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    expect(await put('0'.repeat(32), `gb_${'0'.repeat(40)}`)).toEqual([401, 'unauthenticated']);
    expect(await put('0'.repeat(32), e2b.tenant.key)).toEqual([404, 'not_found']);
  }
});

test('also for a client that writes all of it before it reads; the answer itself waits for nothing', async () => {
  const { hostname, port } = new URL(installation().url);
  const socket = connect(Number(port), hostname);
  let answer = '';
  socket.on('data', (chunk) => (answer += String(chunk)));
  const head = ['PUT /v1/disks HTTP/1.1', `host: ${hostname}:${port}`, `content-length: ${large.byteLength}`, '', ''];
  socket.write(head.join('\r\n'));
  await expect.poll(() => answer).toMatch(/^HTTP\/1\.1 401 [^]*"unauthenticated"[^]*\}$/);
  // Its last byte leaves only where all before it were taken.
  const written = Promise.withResolvers<boolean>();
  socket.once('error', () => written.resolve(false)).once('finish', () => written.resolve(true));
  socket.end(new Uint8Array(large));
  expect(await written.promise).toBe(true);
  socket.destroy();
});
