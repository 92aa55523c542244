import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { heartbeat, joinRequest, type Heartbeat, type HeartbeatAnswer } from '../../../runner/protocol/node-report.ts';
import { redisUserName, runnerAclRules } from '../../../runner/protocol/redis-acl.ts';
import { hex } from './edge.ts';
import type { TestRedis } from './redis-server.ts';

export interface TestControlPlane {
  url: string;
  joinToken: string;
  runnerId: string;
  secret: string;
  beats: Heartbeat[];
  joins: number;
  leaves: number;
  /** What the next heartbeats are answered. */
  answer: HeartbeatAnswer;
  /** Answers 503 to everything. */
  away: boolean;
  /** Transfers by id: what a GET is given, what a PUT brought, whether it was cut. */
  give: Map<string, (response: ServerResponse) => void>;
  /** PUTs are read no further until it is false again. */
  holdPuts: boolean;
  taken: Map<string, { bytes: number; cut: boolean; done: boolean }>;
  close(): Promise<void>;
}

/** The runner's side of /internal, with a real ACL user for it on the test's Redis. */
export async function startTestControlPlane(redis: TestRedis): Promise<TestControlPlane> {
  const admin = redis.client();
  const password = hex(16);
  const makeUser = () =>
    admin.call('ACL', 'SETUSER', redisUserName(plane.runnerId), ...runnerAclRules(plane.runnerId, password));
  const plane: TestControlPlane = {
    url: '',
    joinToken: hex(16),
    runnerId: hex(8),
    secret: hex(16),
    beats: [],
    joins: 0,
    leaves: 0,
    answer: { recorded: [], kill: [], pool: [] },
    away: false,
    give: new Map(),
    holdPuts: false,
    taken: new Map(),
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  const routes: Record<string, (request: IncomingMessage, response: ServerResponse) => Promise<void>> = {
    'POST join': async (request, response) => {
      if (request.headers.authorization !== `Bearer ${plane.joinToken}`) return void response.writeHead(401).end();
      joinRequest.parse(JSON.parse(await text(request)));
      plane.joins++;
      await makeUser();
      const redisUrl = `redis://${redisUserName(plane.runnerId)}:${password}@127.0.0.1:${redis.port}`;
      response.end(JSON.stringify({ runnerId: plane.runnerId, secret: plane.secret, redisUrl, cell: '00' }));
    },
    'POST heartbeat': async (request, response) => {
      if (request.headers.authorization !== `Bearer ${plane.secret}`) return void response.writeHead(401).end();
      await makeUser(); // a restarted Redis has forgotten it
      plane.beats.push(heartbeat.parse(JSON.parse(await text(request))));
      response.end(JSON.stringify(plane.answer));
    },
    'POST leave': async (request, response) => {
      if (request.headers.authorization !== `Bearer ${plane.secret}`) return void response.writeHead(401).end();
      plane.leaves++;
      response.end('{}');
    },
    'GET transfer': async (request, response) => plane.give.get(lastPart(request))?.(response),
    'PUT transfer': async (request, response) => {
      const taken = { bytes: 0, cut: false, done: false };
      plane.taken.set(lastPart(request), taken);
      await pipeline(request, async (chunks) => {
        for await (const chunk of chunks) {
          taken.bytes += (chunk as Buffer).byteLength;
          while (plane.holdPuts) await new Promise((resolve) => setTimeout(resolve, 10));
        }
      }).then(
        () => (taken.done = true),
        () => (taken.cut = true),
      );
      response.end();
    },
  };
  const server = createServer((request, response) => {
    const what = /transfers\//.test(request.url ?? '') ? 'transfer' : lastPart(request);
    const route = plane.away ? undefined : routes[`${request.method} ${what}`];
    if (!route) return void response.writeHead(plane.away ? 503 : 404).end();
    route(request, response).catch((error: unknown) => response.writeHead(400).end(String(error)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (!address || typeof address === 'string') throw new Error('no port');
  plane.url = `http://127.0.0.1:${address.port}`;
  return plane;
}

const lastPart = (request: IncomingMessage): string => (request.url ?? '').split('/').at(-1) ?? '';

async function text(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
