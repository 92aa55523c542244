/** The native API with as little in between as possible: undici's pool on kept-alive connections. */
import { Pool, type Dispatcher } from 'undici';

const HEADERS_DEADLINE_MS = 120_000;
const BODY_DEADLINE_MS = 120_000;

export interface Sandbox {
  id: string;
  network: 'on' | 'off';
}

export interface ExecAnswer {
  stdout: string;
  stderr: string;
  exitCode: number | null;
}

export class UnexpectedAnswer extends Error {
  readonly statusCode: number;

  constructor(method: string, path: string, statusCode: number, body: string) {
    super(`${method} ${path}: ${statusCode} ${body.slice(0, 500)}`);
    this.statusCode = statusCode;
  }
}

export interface Call {
  method?: Dispatcher.HttpMethod;
  json?: unknown;
  body?: Uint8Array;
  headers?: Record<string, string>;
}

export class Client {
  readonly #pool: Pool;
  readonly #authorization: string;

  constructor(url: string, apiKey: string, connections: number) {
    this.#pool = new Pool(url, {
      connections,
      pipelining: 1,
      headersTimeout: HEADERS_DEADLINE_MS,
      bodyTimeout: BODY_DEADLINE_MS,
      keepAliveTimeout: 60_000,
    });
    this.#authorization = `Bearer ${apiKey}`;
  }

  close(): Promise<void> {
    return this.#pool.close();
  }

  async health(): Promise<void> {
    await this.text('/healthz', {});
  }

  async createSandbox(body: Record<string, unknown> = {}): Promise<Sandbox> {
    return this.json<Sandbox>('/v1/sandboxes', { method: 'POST', json: { timeoutSeconds: 900, ...body } });
  }

  async killSandbox(id: string): Promise<void> {
    await this.text(`/v1/sandboxes/${id}`, { method: 'DELETE' });
  }

  /** A string is run by a shell, an array is an argv. */
  async exec(id: string, command: string | readonly string[]): Promise<ExecAnswer> {
    return this.json<ExecAnswer>(`/v1/sandboxes/${id}/exec`, { method: 'POST', json: { command } });
  }

  /** An exec whose output matters: throws unless it ended with 0 and printed `expected`. */
  async expectOutput(id: string, command: string | readonly string[], expected: string): Promise<void> {
    const { stdout, stderr, exitCode } = await this.exec(id, command);
    if (exitCode === 0 && stdout === expected) return;
    throw new Error(
      `${JSON.stringify(command)} gave exit code ${exitCode}, stdout ${JSON.stringify(stdout)}, stderr ${stderr}`,
    );
  }

  /** The bytes of an exec's event stream as they arrive. */
  async execStream(id: string, command: string): Promise<AsyncIterable<Buffer>> {
    const { body } = await this.#send(`/v1/sandboxes/${id}/exec`, {
      method: 'POST',
      json: { command, timeoutMs: 300_000 },
      headers: { accept: 'text/event-stream' },
    });
    return body as AsyncIterable<Buffer>;
  }

  async upload(id: string, path: string, bytes: Uint8Array): Promise<void> {
    await this.text(filePath(id, path), {
      method: 'PUT',
      body: bytes,
      headers: { 'content-type': 'application/octet-stream' },
    });
  }

  async download(id: string, path: string): Promise<AsyncIterable<Buffer>> {
    const { body } = await this.#send(filePath(id, path), {});
    return body as AsyncIterable<Buffer>;
  }

  /** With an administrator's key: a tenant that no limit holds back, and a key of its. */
  async createTenant(name: string, limits: Record<string, number>): Promise<string> {
    const tenant = await this.json<{ id: string }>('/v1/tenants', { method: 'POST', json: { name, limits } });
    const { key } = await this.json<{ key: string }>(`/v1/tenants/${tenant.id}/keys`, {
      method: 'POST',
      json: { name, scopes: ['read', 'write'] },
    });
    return key;
  }

  /** With an administrator's key: how many containers a template's pool should hold, on each runner. */
  async warmCount(template: string): Promise<number> {
    return (await this.json<{ warmCount: number }>(`/v1/templates/${template}`, {})).warmCount;
  }

  async setWarmCount(template: string, warmCount: number): Promise<void> {
    await this.text(`/v1/templates/${template}`, { method: 'PATCH', json: { warmCount } });
  }

  async json<T>(path: string, call: Call): Promise<T> {
    return JSON.parse(await this.text(path, call)) as T;
  }

  async text(path: string, call: Call): Promise<string> {
    const { body } = await this.#send(path, call);
    return body.text();
  }

  async #send(path: string, call: Call): Promise<Dispatcher.ResponseData> {
    const { method = 'GET', json, body, headers } = call;
    const answer = await this.#pool.request({
      path,
      method,
      headers: {
        authorization: this.#authorization,
        ...(json === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      body: json === undefined ? (body ?? null) : JSON.stringify(json),
    });
    if (answer.statusCode >= 200 && answer.statusCode < 300) return answer;
    throw new UnexpectedAnswer(method, path, answer.statusCode, await answer.body.text());
  }
}

const filePath = (id: string, path: string): string =>
  `/v1/sandboxes/${id}/files/content?path=${encodeURIComponent(path)}`;
