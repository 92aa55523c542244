import { afterEach, beforeEach, expect, test } from 'vitest';
import { createE2b, type E2b } from './client.ts';

/** Who knows a sandbox's id and nothing more: an id is part of every public host name. */
let e2b: E2b;
beforeEach(async () => {
  e2b = await createE2b({ requestsPerSecond: 5 });
});
afterEach(() => e2b.cleanUp());

const stranger = (id: string, path: string, init: { method?: string; body?: string } = {}, headers = {}) =>
  fetch(`${e2b.options.sandboxUrl}${path}`, { ...init, headers: { 'e2b-sandbox-id': id, ...headers } });

const stateOf = async (id: string): Promise<unknown> => (await e2b.tenant.json(`/v1/sandboxes/${id}`))['state'];

test('a stranger does not wake a paused sandbox by its envd; who has its token does', async () => {
  const sandbox = await e2b.create({
    lifecycle: { onTimeout: 'pause', autoResume: true },
    network: { allowPublicTraffic: false },
  });
  const id = sandbox.sandboxId;
  await sandbox.pause();
  const json = { 'content-type': 'application/json' };
  expect((await stranger(id, '/health')).status).toBe(502);
  expect((await stranger(id, '/files?path=/etc/passwd')).status).toBe(401);
  expect((await stranger(id, '/files?path=/etc/passwd&signature=v1_x')).status).toBe(401);
  expect((await stranger(id, '/process.Process/List', { method: 'POST', body: '{}' }, json)).status).toBe(401);
  expect((await stranger(id, '/', {}, { 'e2b-sandbox-port': '8000' })).status).toBe(403);
  expect(await stateOf(id)).toBe('paused');
  expect(await sandbox.files.exists('/etc/passwd')).toBe(true);
  expect(await stateOf(id)).toBe('running');
});

test('a stranger’s requests take nothing from the rate of who has the token', async () => {
  const sandbox = await e2b.create();
  const id = sandbox.sandboxId;
  const answers = await Promise.all(
    Array.from({ length: 100 }, async (_, at) => {
      const path = at % 2 === 0 ? '/health' : '/metrics';
      return (await stranger(id, path)).status;
    }),
  );
  expect(new Set(answers)).toEqual(new Set([204, 401, 429]));
  expect(await sandbox.isRunning()).toBe(true);
  expect((await sandbox.commands.run('echo fine')).stdout).toBe('fine\n');
});
