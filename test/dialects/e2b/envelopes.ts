import { installation } from '../../installation.ts';
import type { Wire } from './wire.ts';

/** A sandbox's envd surface without an SDK: Connect's bytes as they are. */
export interface Envd {
  sandboxId: string;
  /** undefined: it is open. */
  token: string | undefined;
  /** Any request to it, with its token unless the headers bring another ('' brings none). */
  call(path: string, init?: RequestInit): Promise<Response>;
  unary(method: string, message: object, headers?: Record<string, string>): Promise<Response>;
  /** The answer's messages as they come; the last one has `last`. */
  stream(method: string, message: object, headers?: Record<string, string>): Promise<EnvelopeReader>;
}

export interface ProcessEvent {
  event?: {
    start?: { pid: number };
    data?: { stdout?: string; stderr?: string; pty?: string };
    end?: { exitCode: number; exited: boolean; status: string; error?: string };
    keepalive?: object;
  };
  error?: { code: string; message: string };
  last?: true;
}

export const envelope = (message: object, flags = 0): Buffer => {
  const json = Buffer.from(JSON.stringify(message));
  const header = Buffer.alloc(5);
  header.writeUInt8(flags);
  header.writeUInt32BE(json.length, 1);
  return Buffer.concat([header, json]);
};

export class EnvelopeReader {
  readonly response: Response;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #held = Buffer.alloc(0);

  constructor(response: Response) {
    if (!response.body) throw new Error(`no stream but ${response.status}`);
    this.response = response;
    this.#reader = response.body.getReader();
  }

  /** Rejects when the connection is cut; undefined at the end of the body. */
  async next(): Promise<ProcessEvent | undefined> {
    for (;;) {
      const length = this.#held.length < 5 ? Infinity : this.#held.readUInt32BE(1) + 5;
      if (this.#held.length >= length) {
        const flags = this.#held.readUInt8();
        const message = JSON.parse(this.#held.subarray(5, length).toString()) as ProcessEvent;
        this.#held = this.#held.subarray(length);
        return flags === 2 ? { ...message, last: true } : message;
      }
      const { done, value } = await this.#reader.read();
      if (done) return undefined;
      this.#held = Buffer.concat([this.#held, value]);
    }
  }

  async rest(): Promise<ProcessEvent[]> {
    const events: ProcessEvent[] = [];
    for (let event = await this.next(); event; event = await this.next()) events.push(event);
    return events;
  }

  cancel(): Promise<void> {
    return this.#reader.cancel();
  }
}

export const envdOf = (sandboxId: string, token: string | undefined): Envd => {
  const call: Envd['call'] = (path, init = {}) => {
    const headers = new Headers(init.headers);
    headers.set('e2b-sandbox-id', sandboxId);
    headers.set('e2b-sandbox-port', '49983');
    if (token !== undefined && !headers.has('x-access-token')) headers.set('x-access-token', token);
    if (headers.get('x-access-token') === '') headers.delete('x-access-token');
    return fetch(`${installation().url}${path}`, { ...init, headers });
  };
  const post = (method: string, type: string, body: RequestInit['body'], headers: Record<string, string> = {}) =>
    call(`/process.Process/${method}`, {
      method: 'POST',
      headers: { 'content-type': type, 'connect-protocol-version': '1', ...headers },
      ...(body === undefined ? {} : { body }),
    });
  return {
    sandboxId,
    token,
    call,
    unary: (method, message, headers) => post(method, 'application/json', JSON.stringify(message), headers),
    stream: async (method, message, headers) =>
      new EnvelopeReader(await post(method, 'application/connect+json', new Uint8Array(envelope(message)), headers)),
  };
};

export const createEnvd = async (wire: Wire, body: Record<string, unknown> = {}): Promise<Envd> => {
  const answer = await wire.send('POST', '/sandboxes', {
    json: { templateID: 'base', secure: true, timeout: 300, ...body },
  });
  const made = answer.body as { sandboxID?: string; envdAccessToken?: string };
  if (made.sandboxID === undefined) throw new Error(`create: ${answer.status} ${answer.text}`);
  return envdOf(made.sandboxID, made.envdAccessToken);
};

/** commands.run's own request. */
export const bash = (script: string, more: Record<string, unknown> = {}) => ({
  process: { cmd: '/bin/bash', args: ['-l', '-c', script] },
  stdin: true,
  ...more,
});

export const textOf = (events: readonly ProcessEvent[], kind: 'stdout' | 'stderr' | 'pty' = 'stdout'): string =>
  Buffer.concat(events.map(({ event }) => Buffer.from(event?.data?.[kind] ?? '', 'base64'))).toString();
