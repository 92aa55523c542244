import { createBroker } from '../../../worker/adapters/broker.ts';
import { createFleet } from '../../../worker/adapters/fleet.ts';
import { ServiceError } from '../../../worker/core/errors.ts';
import type { EventStream } from '../../../worker/core/ports.ts';
import { settingsOf, type Env } from '../../../worker/env.ts';
import { Broker as RealBroker } from '../../../worker/durable/broker/broker.ts';
import { createInternalApp } from '../../../worker/internal/app.ts';

export { Fleet } from '../../../worker/durable/fleet.ts';
export { Socket } from '../../../worker/durable/socket.ts';
export { Transfer } from '../../../worker/durable/transfer.ts';

export class Broker extends RealBroker {
  /** As when it is evicted, or a new version deployed. */
  breakOff(): void {
    this.ctx.abort('broken off by a test');
  }
}

/** The ports over HTTP, for tests: a call's arguments as JSON in the x-call header, its answer as JSON, lines of JSON, or bytes. */
interface Call {
  port: 'broker' | 'fleet';
  method: string;
  args: unknown[];
}
type Methods = Record<string, (...args: unknown[]) => Promise<unknown>>;

const base64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
const toJson = (value: unknown): string =>
  JSON.stringify(value, (_key, inner) => (inner instanceof Uint8Array ? { base64: base64(inner) } : inner)) ?? 'null';

const failure = (error: unknown) => ({
  error: {
    code: error instanceof ServiceError ? error.code : 'thrown',
    message: error instanceof Error ? error.message : String(error),
    cause: error instanceof Error ? JSON.stringify(error.cause) : undefined,
  },
});

const isFeed = (value: unknown): value is EventStream =>
  typeof value === 'object' && value !== null && 'next' in value && 'cancel' in value;

/** With a blank line a second, as SSE's keep-alive: only by writing does the runtime notice that the client is gone. */
const lines = (events: EventStream): ReadableStream<Uint8Array> => {
  const encoder = new TextEncoder();
  let timer: ReturnType<typeof setInterval>;
  return new ReadableStream<Uint8Array>({
    start: (controller) => {
      timer = setInterval(() => controller.enqueue(encoder.encode('\n')), 1000);
    },
    pull: async (controller) => {
      try {
        const event = await events.next();
        if (event) return controller.enqueue(encoder.encode(`${toJson(event)}\n`));
      } catch (error) {
        controller.enqueue(encoder.encode(`${toJson(failure(error))}\n`));
      }
      clearInterval(timer);
      controller.close();
    },
    cancel: async () => {
      clearInterval(timer);
      await events.cancel();
    },
  });
};

const answer = async (request: Request, env: Env): Promise<Response> => {
  const { port, method, args } = JSON.parse(request.headers.get('x-call') ?? '{}') as Call;
  const ports = { broker: createBroker(env, settingsOf(env)), fleet: createFleet(env, settingsOf(env)) };
  const target = ports[port] as unknown as Methods;
  if (method === 'breakOff') {
    for (const shard of [0, 1]) {
      const stub = env.BROKER.get(env.BROKER.idFromName(`broker-${shard}`)) as unknown as { breakOff(): Promise<void> };
      await stub.breakOff().catch(() => undefined);
    }
    return new Response(toJson({ value: null }));
  }
  if (method === 'writeFile') {
    const length = request.headers.get('content-length');
    args.push(request.body, length === null ? null : Number(length));
  }
  const value = await target[method]?.(...args);
  if (isFeed(value)) return new Response(lines(value));
  if (method === 'readFile') {
    const { head, body } = value as { head: unknown; body: ReadableStream };
    return new Response(body, { headers: { 'x-head': toJson(head) } });
  }
  return new Response(toJson({ value }));
};

export default {
  async fetch(request, env, ctx) {
    if (new URL(request.url).pathname.startsWith('/internal/'))
      return createInternalApp(env, settingsOf(env)).fetch(request, env, ctx);
    try {
      return await answer(request, env);
    } catch (error) {
      return new Response(toJson(failure(error)), { status: 500 });
    }
  },
} satisfies ExportedHandler<Env>;
