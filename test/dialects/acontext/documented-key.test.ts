import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Installation } from '../../../local/installation.ts';
import { createTenant, installation, type Address } from '../../installation.ts';
import { startTestInstallation } from '../../start-installation.ts';

const documentedKey = 'sk-ac-your-root-api-bearer-token';

const ask = (address: Address, path: string, init: RequestInit = {}, key = documentedKey) =>
  fetch(`${address.url}${path}`, { redirect: 'manual', ...init, headers: { authorization: `Bearer ${key}` } });

const makeTenant = async (address: Address, name: string): Promise<string> => {
  const response = await fetch(`${address.url}/v1/tenants`, {
    method: 'POST',
    headers: { authorization: `Bearer ${address.adminKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name }),
  });
  return ((await response.json()) as { id: string }).id;
};

let exposed: Installation;
beforeAll(async () => {
  exposed = await startTestInstallation({ bind: '0.0.0.0' });
});
afterAll(() => exposed.stop());

test('the key of Acontext’s documents is the oldest local tenant’s, under /api/v1 only', async () => {
  await createTenant();
  expect((await ask(installation(), '/api/v1/ping')).status).toBe(401);
  const tenantId = await makeTenant(installation(), 'local');
  await makeTenant(installation(), 'local');
  expect(await (await ask(installation(), '/api/v1/ping')).json()).toEqual({ code: 0, msg: 'pong' });
  expect((await ask(installation(), '/v1/me')).status).toBe(401);
  expect((await ask(installation(), '/api/v1/ping', {}, documentedKey.replace('sk-ac-', 'gb_'))).status).toBe(401);
  expect((await ask(installation(), '/api/v1/ping', {}, `${documentedKey}x`)).status).toBe(401);

  const suspend = (suspended: boolean) =>
    fetch(`${installation().url}/v1/tenants/${tenantId}`, {
      method: 'PATCH',
      headers: { authorization: `Bearer ${installation().adminKey}`, 'content-type': 'application/json' },
      body: JSON.stringify({ suspended }),
    });
  await suspend(true);
  expect((await ask(installation(), '/api/v1/ping')).status).toBe(401);
  await suspend(false);
  expect((await ask(installation(), '/api/v1/ping')).status).toBe(200);
});

test('where other machines reach the API it is no key', async () => {
  await makeTenant(exposed, 'local');
  const answer = await ask(exposed, '/api/v1/ping');
  expect([answer.status, await answer.text()]).toEqual([401, '{"code":401,"msg":"Unauthorized"}']);
});
