import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createEnvd, envelope, type Envd } from './envelopes.ts';
import { createWire, type Wire } from './wire.ts';

let wire: Wire;
let envd: Envd;
let open: Envd;
beforeAll(async () => {
  wire = await createWire({ maxSandboxes: 10 });
  [envd, open] = await Promise.all([createEnvd(wire), createEnvd(wire, { secure: false, envVars: { A: 'b' } })]);
});
afterAll(() => wire.tenant.cleanUp());

describe('tokens', () => {
  const unauthorized = {
    code: 401,
    message: 'unauthorized access, please provide a valid access token or method signing if supported',
  };
  const requests: [string, (to: Envd, token?: string) => Promise<Response>][] = [
    ...['Start', 'Connect', 'StreamInput'].map((method): [string, (to: Envd, token?: string) => Promise<Response>] => [
      method,
      (to, token) =>
        to.call(`/process.Process/${method}`, {
          method: 'POST',
          headers: {
            'content-type': 'application/connect+json',
            ...(token === undefined ? {} : { 'x-access-token': token }),
          },
          body: new Uint8Array(envelope({ process: { pid: 999_999 } })),
        }),
    ]),
    ...['List', 'Update', 'SendInput', 'CloseStdin', 'SendSignal'].map(
      (method): [string, (to: Envd, token?: string) => Promise<Response>] => [
        method,
        (to, token) =>
          to.unary(method, { process: { pid: 999_999 } }, token === undefined ? {} : { 'x-access-token': token }),
      ],
    ),
    ...['/metrics', '/envs'].map((path): [string, (to: Envd, token?: string) => Promise<Response>] => [
      path,
      (to, token) => to.call(path, { headers: token === undefined ? {} : { 'x-access-token': token } }),
    ]),
  ];

  test.each(requests)('%s takes the sandbox’s own token, and no other', async (_name, request) => {
    const other = await createEnvd(wire);
    expect((await request(envd)).status).not.toBe(401);
    expect((await request(open, '')).status).not.toBe(401);
    expect((await request(open, 'nonsense')).status).not.toBe(401);
    const wrong = `${(envd.token ?? '').slice(0, -1)}${(envd.token ?? '').endsWith('0') ? '1' : '0'}`;
    for (const token of ['', 'nonsense', wrong, (envd.token ?? '').toUpperCase(), other.token ?? '']) {
      const refused = await request(envd, token);
      expect([refused.status, await refused.json()]).toEqual([401, unauthorized]);
    }
    await wire.send('DELETE', `/sandboxes/${other.sandboxId}`);
  });

  test('/health asks for none', async () => {
    for (const to of [envd, open]) {
      const answer = await to.call('/health', { headers: { 'x-access-token': '' } });
      expect([answer.status, await answer.text()]).toEqual([204, '']);
    }
  });
});

test('/envs are the variables of the create, /metrics what the host counts', async () => {
  expect(await (await open.call('/envs')).json()).toEqual({ A: 'b' });
  expect(await (await envd.call('/envs')).json()).toEqual({});
  const metrics = (await (await envd.call('/metrics')).json()) as Record<string, number>;
  expect(Object.keys(metrics).toSorted()).toEqual([
    'cpu_count',
    'cpu_used_pct',
    'disk_total',
    'disk_used',
    'mem_cache',
    'mem_total',
    'mem_total_mib',
    'mem_used',
    'mem_used_mib',
    'ts',
  ]);
  expect(Math.abs((metrics['ts'] ?? 0) - Date.now() / 1000)).toBeLessThan(60);
  expect(metrics['mem_total_mib']).toBe(512);
  expect(metrics['mem_used']).toBeGreaterThan(0);
});
