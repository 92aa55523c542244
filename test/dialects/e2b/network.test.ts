import { Sandbox } from 'e2b';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { startOutside, type Outside } from '../../security/outside.ts';
import { createE2b, type E2b } from './client.ts';

let outside: Outside;
let e2b: E2b;
beforeAll(async () => {
  outside = await startOutside();
});
beforeEach(async () => {
  e2b = await createE2b();
});
afterEach(() => e2b.cleanUp());
afterAll(() => outside?.close());

/** What a connection from inside to each of the three addresses outside comes to. */
const reached = async (sandbox: Sandbox): Promise<string[]> => {
  const knock = (address: string) =>
    `timeout 4 bash -c 'exec 3<>/dev/tcp/${address}/${outside.port} && head -n1 <&3' 2>/dev/null || echo no`;
  const { stdout } = await sandbox.commands.run(outside.addresses.map(knock).join('; '));
  return stdout.trim().split('\n');
};

const put = (id: string, json: unknown, key = e2b.options.apiKey) =>
  e2b.tenant.api(`/sandboxes/${id}/network`, { method: 'PUT', json, headers: { 'x-api-key': key, authorization: '' } });

test('updateNetwork replaces all rules of a running sandbox; what is left out is cleared', async () => {
  const [first, second] = outside.addresses;
  const sandbox = await e2b.create();
  expect(await reached(sandbox)).toEqual(['reached', 'reached', 'reached']);
  await sandbox.updateNetwork({ denyOut: ['0.0.0.0/0'], allowOut: [second] });
  expect(await reached(sandbox)).toEqual(['no', 'reached', 'no']);
  await sandbox.updateNetwork({ denyOut: [first] });
  expect(await reached(sandbox)).toEqual(['no', 'reached', 'reached']);
  await sandbox.updateNetwork({ allowInternetAccess: false });
  expect(await reached(sandbox)).toEqual(['no', 'no', 'no']);
  await sandbox.updateNetwork({});
  expect(await reached(sandbox)).toEqual(['reached', 'reached', 'reached']);
});

test('a sandbox made with rules of its own has them from its first command on, warm or not, and they read back', async () => {
  const [first, second] = outside.addresses;
  const egress = { allow: [second], deny: ['0.0.0.0/0'] };
  for (const cpu of [2, 1]) {
    const { id, ...view } = await e2b.tenant.createSandbox({ egress, cpu });
    expect(view).toMatchObject({ egress });
    const knock = `timeout 4 bash -c 'echo > /dev/tcp/${first}/${outside.port}' 2>&1 || true`;
    const { stdout } = await e2b.tenant.json<{ stdout: string }>(`/v1/sandboxes/${id}/exec`, {
      method: 'POST',
      json: { command: knock },
    });
    expect(stdout).toContain('refused');
    await e2b.tenant.api(`/v1/sandboxes/${id}`, { method: 'DELETE' });
  }
});

test('domains, a proxy and header rules are refused, as is anything that is no address; nothing changes then', async () => {
  const [first] = outside.addresses;
  const { sandboxId } = await e2b.create();
  expect((await put(sandboxId, { denyOut: [first] })).status).toBe(204);
  const refused = async (body: unknown, status: number, message: RegExp) => {
    const response = await put(sandboxId, body);
    expect(response.status).toBe(status);
    expect(await response.json()).toEqual({ code: status, message: expect.stringMatching(message) });
  };
  await refused({ denyOut: ['example.com'] }, 400, /denyOut: "example.com"/);
  await refused({ allowOut: ['api.example.com'] }, 400, /needs 0\.0\.0\.0\/0 in denyOut/);
  await refused({ allowOut: ['*.example.com'], denyOut: ['0.0.0.0/0'] }, 400, /is a domain/);
  await refused({ denyOut: ['1.1.1.1 -j ACCEPT'] }, 400, /denyOut/);
  await refused({ denyOut: Array.from({ length: 65 }, () => '1.1.1.1') }, 400, /denyOut/);
  await refused({ denyOut: '0.0.0.0/0' }, 400, /denyOut/);
  await refused({ egressProxy: { address: '198.51.100.1:1080' } }, 501, /egressProxy/);
  await refused({ rules: { 'example.com': [{ transform: { headers: { a: 'b' } } }] } }, 501, /rules/);
  expect(await e2b.tenant.json(`/v1/sandboxes/${sandboxId}`)).toMatchObject({ egress: { allow: [], deny: [first] } });
});

test('what boots from a snapshot, and a fork, is held by its own rules', async () => {
  const [first, second] = outside.addresses;
  const source = await e2b.create({ network: { denyOut: [first] } });
  const { snapshotId } = await source.createSnapshot();
  const [fork] = await source.fork();
  if (!(fork instanceof Sandbox)) throw new Error('no fork');
  expect(await reached(fork)).toEqual(['no', 'reached', 'reached']);
  const booted = await Sandbox.create(snapshotId, {
    ...e2b.options,
    network: { denyOut: ['0.0.0.0/0'], allowOut: [second] },
  });
  expect(await reached(booted)).toEqual(['no', 'reached', 'no']);
});

test('natively also those of a paused one are replaced, whose files alone were kept: it goes on with them', async () => {
  const [first] = outside.addresses;
  const sandbox = await e2b.create();
  const native = `/v1/sandboxes/${sandbox.sandboxId}`;
  for (const memory of [true, false]) {
    await e2b.tenant.json(`${native}/pause`, { method: 'POST', json: { memory } });
    const egress = memory ? { allow: [], deny: ['0.0.0.0/0'] } : { allow: [], deny: [first] };
    const changed = await e2b.tenant.json(`${native}/network`, { method: 'PUT', json: egress });
    expect(changed).toMatchObject({ state: 'paused', egress });
    await e2b.tenant.json(`${native}/resume`, { method: 'POST', json: {} });
    expect(await reached(sandbox)).toEqual(memory ? ['no', 'no', 'no'] : ['no', 'reached', 'reached']);
  }
});

test('409 while it is paused; 404 for one that is missing, another tenant’s or malformed, all alike', async () => {
  const sandbox = await e2b.create();
  await e2b.tenant.json(`/v1/sandboxes/${sandbox.sandboxId}/pause`, { method: 'POST' });
  expect((await put(sandbox.sandboxId, {})).status).toBe(409);
  const other = await createE2b();
  const answers = await Promise.all(
    [sandbox.sandboxId, '00a1b2c3d4e54f60a7b8c9d0e1f2a3b4', 'nothing'].map(async (id) => {
      const response = await put(id, {}, other.options.apiKey);
      return [response.status, (await response.text()).replaceAll(id, 'ID')];
    }),
  );
  expect(answers[0]?.[0]).toBe(404);
  expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
  await other.cleanUp();
});
