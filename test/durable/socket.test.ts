import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { JoinAnswer } from '../../runner/protocol/node-report.ts';
import { startTestRedis, type TestRedis } from '../runner/support/redis-server.ts';
import { startTestControlPlane, type TestControlPlane } from './support/control-plane.ts';
import { joined } from './support/joined.ts';
import { hex } from './support/runner.ts';

let redis: TestRedis;
let plane: TestControlPlane;
let identity: JoinAnswer;
beforeAll(async () => {
  redis = await startTestRedis();
  plane = await startTestControlPlane(redis.url);
  identity = await joined(plane);
});
afterAll(async () => {
  await plane?.stop();
  await redis?.close();
});

const dial = (id: string, secret = identity.secret): WebSocket => {
  const url = `${plane.url.replace(/^http/, 'ws')}/internal/sockets/${id}`;
  const socket = new WebSocket(url, { headers: { authorization: `Bearer ${secret}` } });
  socket.on('error', () => undefined);
  return socket;
};
const refusalOf = async (socket: WebSocket): Promise<number> => {
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode: number }];
  return response.statusCode;
};

test('a meeting place of WebSockets lets runners in and nobody else, and asks for a WebSocket', async () => {
  expect(await refusalOf(dial(hex(32), 'not a secret'))).toBe(401);
  expect(await refusalOf(dial('short'))).toBe(404);
  const headers = { authorization: `Bearer ${identity.secret}` };
  expect((await fetch(`${plane.url}/internal/sockets/${hex(32)}`, { headers })).status).toBe(400);
});

test('two of a runner do not meet, and one that nobody comes to is told within its time', async () => {
  const id = hex(32);
  const first = refusalOf(dial(id));
  expect(await refusalOf(dial(id))).toBe(404);
  expect(await first).toBe(404);
  expect(await refusalOf(dial(id))).toBe(404);
});
