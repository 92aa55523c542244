import { expect, test } from 'vitest';
import { newApp } from '../../worker/api/app-env.ts';
import { ServiceError } from '../../worker/core/errors.ts';
import { newSandboxId } from '../../worker/core/ids.ts';
import type { Broker, PortAnswer } from '../../worker/core/ports.ts';
import { limits } from '../../worker/core/traffic/limits.ts';
import { openPortSocket, requestPort } from '../../worker/core/traffic/request-port.ts';
import { renderProxyFailure } from '../../worker/dialects/e2b/proxy-error.ts';
import { scriptedCell } from './support/scripted-cell.ts';

const sandboxId = newSandboxId('00');
const request = { port: 8000, method: 'GET', target: '/', headers: [] };
const answer: PortAnswer = {
  kind: 'answer',
  status: 200,
  headers: [],
  body: null,
  contentBytes: 0,
  sent: Promise.resolve(),
};

/** Whose rate is used up, and what was asked of the node. */
const world = (empty: RegExp | undefined) => {
  const { context } = scriptedCell();
  const asked: [string, number][] = [];
  const sent: string[] = [];
  const broker: Partial<Broker> = {
    takeRequest: async (key, perSecond) => {
      asked.push([key, perSecond]);
      return empty?.test(key) !== true;
    },
    requestPort: async () => (sent.push('request'), answer),
    openPortSocket: async () => (sent.push('socket'), answer),
  };
  const ctx = { ...context, broker: { ...context.broker, ...broker } };
  const { tenant } = context.actor;
  const access = {
    sandboxId,
    tenant,
    template: 'base',
    envdOpen: false,
    publicPorts: true,
    maskRequestHost: null,
    autoResume: false,
  };
  return { ctx, access, asked, sent };
};

test('requests to ports and WebSockets take from the rate of the sandbox and of all of its tenant’s', async () => {
  const { ctx, access, asked, sent } = world(undefined);
  await requestPort(ctx, access, request, null);
  await openPortSocket(ctx, access, request, []);
  expect(sent).toEqual(['request', 'socket']);
  const once = [
    [`port-${sandboxId}`, limits.portRequestsPerSecond],
    ['ports-ten_test', limits.portRequestsPerTenantAndSecond],
  ];
  expect(asked).toEqual([...once, ...once]);
});

test.each([/^port-/, /^ports-/])(
  'past %s nothing reaches the node, and the caller is told when to come back',
  async (empty) => {
    const { ctx, access, sent } = world(empty);
    const refused = { code: 'rate_limited', retryAfterSeconds: 1 };
    await expect(requestPort(ctx, access, request, null)).rejects.toMatchObject(refused);
    await expect(openPortSocket(ctx, access, request, [])).rejects.toMatchObject(refused);
    expect(sent).toEqual([]);
  },
);

test('a rate and too many connections are told apart, both in the proxy’s shape', async () => {
  const told = async (error: ServiceError) => {
    const app = newApp();
    app.get('/', (c) => {
      c.set('log', () => undefined);
      return renderProxyFailure(error, c, sandboxId, 8000);
    });
    const response = await app.request('/');
    return [response.status, response.headers.get('retry-after'), (await response.json()) as unknown];
  };
  expect(await told(new ServiceError('rate_limited', 'Slower.', { retryAfterSeconds: 1 }))).toEqual([
    429,
    '1',
    { sandboxId, message: 'Slower.', code: 429 },
  ]);
  expect(await told(new ServiceError('too_many_connections', 'Fewer.'))).toEqual([
    429,
    null,
    expect.objectContaining({ code: 429, connectionLimit: 256 }),
  ]);
});
