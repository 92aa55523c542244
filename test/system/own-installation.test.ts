import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { post, readSandbox, run } from '../trouble/sandbox-commands.ts';
import { useInstallation } from '../trouble/use-installation.ts';
import { waitFor } from '../wait-for.ts';

const SANDBOX_LIMIT = 2;
const own = useInstallation({}, { GLOVEBOX_SANDBOX_LIMIT: String(SANDBOX_LIMIT), GLOVEBOX_WARM_LIMIT: '1' });

/** As if the lease of the life that was killed had lapsed, which takes 15 s. */
async function forgetLeases(): Promise<void> {
  const redis = new Redis(own.installation.redis.url);
  await redis.del(...(await redis.keys('lease-*')));
  await redis.quit();
}

const readiness = async (): Promise<{ status: number; body: unknown }> => {
  const response = await fetch(`${own.installation.url}/readyz`);
  return { status: response.status, body: await response.json() };
};

test('no log tells commands, environment values, file content or keys', async () => {
  const tenant = await own.tenant();
  const words = {
    env: 'env-VALUE-4711',
    command: 'command-WORD-4712',
    body: 'file-BYTES-4713',
    bad: 'bad-REQUEST-4714',
  };
  const { id } = await tenant.createSandbox({ env: { TOKEN: words.env }, metadata: { note: words.bad } });
  const exec = (json: object) => tenant.api(`/v1/sandboxes/${id}/exec`, { method: 'POST', json });
  await exec({ command: `echo ${words.command} $TOKEN`, env: { OTHER: words.env }, stdin: words.body });
  await exec({ command: [`/${words.command}`] });
  await exec({ command: `echo ${words.command}`, user: words.bad });
  await exec({ command: `echo ${words.command}`, cwd: `/${words.bad}` });
  await exec({ command: `echo ${words.command}; kill -9 $$`, timeoutMs: 1_000 });
  const path = `/v1/sandboxes/${id}/files/content?path=/workspace/${words.bad}`;
  await tenant.api(path, { method: 'PUT', body: words.body.repeat(50_000) });
  await (await tenant.api(path)).arrayBuffer();
  await post(tenant, '/v1/sandboxes', { template: words.bad, env: { TOKEN: words.env } });
  await tenant.json(`/v1/sandboxes/${id}`, { method: 'DELETE' });

  const { dataDir, adminKey, secrets } = own.installation;
  const secret = [...Object.values(words), tenant.key.slice('gb_'.length), adminKey, ...Object.values(secrets)];
  // The installation's id is no secret: it names containers.
  const forbidden = secret.filter((word) => word !== secrets.installationId);
  const names = (await readdir(dataDir)).filter((name) => name.endsWith('.log'));
  expect(names).toEqual(expect.arrayContaining(['runner.log']));
  const logs = await Promise.all(
    names.map(async (name) => [name, await readFile(join(dataDir, name), 'utf8')] as const),
  );
  expect(logs.some(([, text]) => text.includes(id))).toBe(true);
  for (const [name, text] of logs) {
    for (const word of forbidden) expect([name, word, text.includes(word)]).toEqual([name, word, false]);
  }
});

test('on a full node a create is 503 with Retry-After, and one more sandbox fits as soon as a kill is answered', async () => {
  const tenant = await own.tenant();
  const create = () => post(tenant, '/v1/sandboxes', {});
  const made = [];
  for (let count = 0; count < SANDBOX_LIMIT; count++) made.push(await tenant.createSandbox());
  for (let round = 0; round < 3; round++) {
    const refused = await create();
    expect(refused).toMatchObject({ status: 503, body: { error: { code: 'capacity_exhausted' } } });
    expect(Number(refused.retryAfter)).toBeGreaterThan(0);
    await tenant.json(`/v1/sandboxes/${made.shift()?.id}`, { method: 'DELETE' });
    made.push(await tenant.createSandbox());
  }
  await tenant.cleanUp();
});

test('without Redis /readyz is 503 and names it, /healthz stays 200, and both are as before when it is back', async () => {
  await own.installation.redis.stop();
  try {
    const startedAt = performance.now();
    expect(await readiness()).toEqual({ status: 503, body: { status: 'not_ready', notReady: ['redis'] } });
    expect(performance.now() - startedAt).toBeLessThan(10_000);
    expect((await fetch(`${own.installation.url}/healthz`)).status).toBe(200);
  } finally {
    await own.installation.redis.start();
  }
  await own.installation.waitUntilReady();
});

test('a resume while the runner is away is 503, leaves the sandbox paused, and works once it is back', async () => {
  const tenant = await own.tenant();
  // Redis has just come back, which the service knows before its runner does.
  const create = () => tenant.createSandbox().catch(() => undefined);
  const { id } = await waitFor('a first sandbox', create, 15_000, 200);
  await run(tenant, id, 'echo kept > /workspace/file');
  await tenant.json(`/v1/sandboxes/${id}/pause`, { method: 'POST' });
  await own.installation.runner.kill('SIGKILL');
  const killedAt = performance.now();
  await forgetLeases();
  // What a shard knows of a lease is good for two seconds. Until then a resume waits in the runner's queue, and is told as such.
  await waitFor('it to be known as away', () => performance.now() - killedAt > 2_500, 5_000);
  const refused = await post(tenant, `/v1/sandboxes/${id}/resume`, {});
  expect(refused).toMatchObject({ status: 503, body: { error: { code: 'not_started' } } });
  expect(refused.retryAfter).not.toBeNull();
  expect(await readSandbox(tenant, id)).toMatchObject({ state: 'paused' });
  await own.installation.runner.start();
  const resumed = async () => (await post(tenant, `/v1/sandboxes/${id}/resume`, {})).status === 200;
  await waitFor('the runner to be back', resumed, 20_000, 200);
  expect(await run(tenant, id, 'cat /workspace/file')).toBe('kept\n');
  await tenant.cleanUp();
});
