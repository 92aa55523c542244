import { expect } from 'vitest';
import { createTenant, installation, type TestTenant } from '../../installation.ts';

export interface Answer {
  status: number;
  headers: Headers;
  /** As it came. */
  text: string;
  body: { code?: number; msg?: string; data?: unknown; error?: string };
}

export interface Acontext {
  tenant: TestTenant;
  /** One request as Acontext's SDKs send it: Bearer, Accept, no redirects, and a Content-Type only beside a body. */
  send(
    method: string,
    path: string,
    options?: { json?: unknown; key?: string | null; body?: BodyInit; type?: string },
  ): Promise<Answer>;
  /** The answer's `data`; throws unless the status is `status` and the envelope says success. */
  data<T>(status: number, method: string, path: string, json?: unknown): Promise<T>;
  cleanUp(): Promise<void>;
}

export const acontextKeyOf = (key: string): string => key.replace(/^gb_/, 'sk-ac-');

/** What answers parse as: the tests look at them. */
const parse = (text: string): Answer['body'] => JSON.parse(text) as Answer['body'];

export const createAcontext = async (limits: Record<string, unknown> = {}): Promise<Acontext> => {
  const tenant = await createTenant(limits);
  const send: Acontext['send'] = async (method, path, options = {}) => {
    const key = options.key === undefined ? acontextKeyOf(tenant.key) : options.key;
    const headers = new Headers({ accept: 'application/json', 'user-agent': 'acontext-py/0.0.0' });
    if (key !== null) headers.set('authorization', `Bearer ${key}`);
    if (options.json !== undefined) headers.set('content-type', 'application/json');
    if (options.type !== undefined) headers.set('content-type', options.type);
    const body = options.json === undefined ? options.body : JSON.stringify(options.json);
    const response = await fetch(`${installation().url}/api/v1${path}`, {
      method,
      headers,
      redirect: 'manual',
      ...(body === undefined ? {} : { body }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, body: text === '' ? {} : parse(text) };
  };
  return {
    tenant,
    send,
    data: async <T>(status: number, method: string, path: string, json?: unknown) => {
      const answer = await send(method, path, json === undefined ? {} : { json });
      if (answer.status !== status || answer.body.code !== 0) {
        throw new Error(`${method} ${path}: ${answer.status}, expected ${status}: ${answer.text.slice(0, 2000)}`);
      }
      return answer.body.data as T;
    },
    cleanUp: () => tenant.cleanUp(),
  };
};

/** What a refusal says, to be compared with `failure`. */
export const failureOf = ({ status, headers, body }: Answer) => ({
  status,
  code: body.code,
  msg: body.msg,
  json: headers.get('content-type')?.includes('application/json'),
  traced: headers.has('x-request-id'),
});

/** A refusal in the envelope: `code` is the status, JSON that says so, a sentence, a request id. */
export const failure = (status: number, sentence: RegExp) => ({
  status,
  code: status,
  msg: expect.stringMatching(sentence) as string,
  json: true,
  traced: true,
});
