import { readEvents, type ServerSentEvent } from '../../bench/server-sent-events.ts';
import { createTenant, type TestTenant } from '../installation.ts';

export interface Exit {
  exitCode: number | null;
  signal: string | null;
  reason: string;
  timedOut: boolean;
  durationMs: number;
  droppedStdoutBytes: number;
  droppedStderrBytes: number;
}
export interface ExecResult extends Exit {
  processId: string;
  stdout: string;
  stderr: string;
  encoding: string;
  truncated: boolean;
}

/** A tenant's sandbox and the calls that tests make to it. */
export class TestSandbox {
  readonly tenant: TestTenant;
  readonly id: string;

  constructor(tenant: TestTenant, id: string) {
    this.tenant = tenant;
    this.id = id;
  }

  static async create(body: Record<string, unknown> = {}): Promise<TestSandbox> {
    const tenant = await createTenant();
    const { id } = await tenant.createSandbox({ timeoutSeconds: 600, ...body });
    return new TestSandbox(tenant, id);
  }

  /** Below /v1/sandboxes/{id}. */
  call(path: string, init: RequestInit & { json?: unknown } = {}): Promise<Response> {
    return this.tenant.api(`/v1/sandboxes/${this.id}${path}`, init);
  }

  json<T>(path: string, init: RequestInit & { json?: unknown; status?: number } = {}): Promise<T> {
    return this.tenant.json<T>(`/v1/sandboxes/${this.id}${path}`, init);
  }

  exec(command: string | string[], options: Record<string, unknown> = {}): Promise<ExecResult> {
    return this.json('/exec', { method: 'POST', json: { command, ...options } });
  }

  /** What a command printed; throws unless it ended with 0. */
  async output(command: string, options: Record<string, unknown> = {}): Promise<string> {
    const { exitCode, stdout, stderr } = await this.exec(command, options);
    if (exitCode !== 0) throw new Error(`${command.slice(0, 200)}: exit ${exitCode}: ${stderr}`);
    return stdout;
  }

  stream(command: string | string[], options: Record<string, unknown> = {}, init: RequestInit = {}): Promise<Response> {
    const headers = { accept: 'text/event-stream' };
    return this.call('/exec', { method: 'POST', json: { command, ...options }, headers, ...init });
  }

  start(
    command: string | string[],
    options: Record<string, unknown> = {},
  ): Promise<{ processId: string; pid: number }> {
    return this.json('/processes', { method: 'POST', json: { command, ...options }, status: 201 });
  }

  wait(processId: string, timeoutMs = 30_000): Promise<{ running: boolean; exit: Exit | null }> {
    return this.json(`/processes/${processId}/wait?timeoutMs=${timeoutMs}`);
  }

  events(processId: string, query = '', headers: Record<string, string> = {}): Promise<Response> {
    return this.call(`/processes/${processId}/events${query}`, { headers });
  }

  writeFile(path: string, body: RequestInit['body'], query = ''): Promise<Response> {
    return this.call(`/files/content?path=${encodeURIComponent(path)}${query}`, { method: 'PUT', body: body ?? null });
  }

  readFile(path: string, headers: Record<string, string> = {}): Promise<Response> {
    return this.call(`/files/content?path=${encodeURIComponent(path)}`, { headers });
  }

  cleanUp(): Promise<void> {
    return this.tenant.cleanUp();
  }
}

export interface Parsed<T = Record<string, unknown>> {
  event: string;
  id: number | undefined;
  data: T;
}

const parsed = ({ event, id, data }: ServerSentEvent): Parsed => ({
  event,
  id: id === undefined ? undefined : Number(id),
  data: JSON.parse(data) as Record<string, unknown>,
});

/** Events one by one as they come. */
export async function* eventsOf(response: Response): AsyncGenerator<Parsed> {
  if (response.status !== 200 || response.body === null)
    throw new Error(`${response.status}: ${await response.text()}`);
  for await (const event of readEvents(response.body)) yield parsed(event);
}

export const allEvents = async (response: Response): Promise<Parsed[]> => {
  const events: Parsed[] = [];
  for await (const event of eventsOf(response)) events.push(event);
  return events;
};

/** The text of one stream of an event stream. */
export const textOf = (events: readonly Parsed[], name: string): string =>
  events
    .filter(({ event }) => event === name)
    .map(({ data }) => String(data.data))
    .join('');

export const errorOf = async (response: Response): Promise<{ status: number; code: string; message: string }> => {
  const { error } = (await response.json()) as { error: { code: string; message: string } };
  return { status: response.status, code: error.code, message: error.message };
};
