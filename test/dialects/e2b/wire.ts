import { expect } from 'vitest';
import { createTenant, installation, type TestTenant } from '../../installation.ts';
import { e2bKeyOf } from './client.ts';

export interface Answer {
  status: number;
  text: string;
  /** The parsed text; undefined where there is none. */
  body: unknown;
  headers: Headers;
}

export interface Sent {
  json?: unknown;
  /** Absent: the tenant's; null: none at all. */
  key?: string | null;
  headers?: Record<string, string>;
}

export interface Wire {
  tenant: TestTenant;
  url: string;
  key: string;
  send(method: string, path: string, sent?: Sent): Promise<Answer>;
  /** A sandbox by POST /v2/sandboxes, of the base template unless `body` says otherwise. */
  create(body?: Record<string, unknown>): Promise<{ sandboxID: string } & Record<string, unknown>>;
}

const answerOf = async (response: Response): Promise<Answer> => {
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('application/json') === true;
  const body: unknown = isJson && text !== '' ? JSON.parse(text) : undefined;
  return { status: response.status, text, body, headers: response.headers };
};

/** The bytes of the control plane, without an SDK. */
export const createWire = async (limits: Record<string, unknown> = {}): Promise<Wire> => {
  const tenant = await createTenant(limits);
  const key = e2bKeyOf(tenant.key);
  const send: Wire['send'] = async (method, path, sent = {}) => {
    const given = sent.key === undefined ? key : sent.key;
    const headers: Record<string, string> = { ...sent.headers };
    if (given !== null) headers['x-api-key'] = given;
    if (sent.json !== undefined) headers['content-type'] = 'application/json';
    const body = sent.json === undefined ? {} : { body: JSON.stringify(sent.json) };
    return answerOf(await fetch(`${installation().url}${path}`, { method, headers, ...body }));
  };
  return {
    tenant,
    url: installation().url,
    key,
    send,
    create: async (body = {}) => {
      const answer = await send('POST', '/v2/sandboxes', { json: { templateID: 'base', ...body } });
      if (answer.status !== 201) throw new Error(`create: ${answer.status} ${answer.text}`);
      return answer.body as { sandboxID: string };
    },
  };
};

/** What a refusal looks like, whole. */
export const failure = (status: number, message: RegExp | string) => ({
  status,
  body: {
    code: status,
    message: typeof message === 'string' ? message : (expect.stringMatching(message) as string),
  },
});
export const failureOf = ({ status, body }: Answer) => ({ status, body });
