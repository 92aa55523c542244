import { installation } from '../../installation.ts';
import { createWire, type Answer, type Wire } from './wire.ts';

/** One sandbox's envd surface, without an SDK. */
export interface Envd {
  wire: Wire;
  sandboxId: string;
  token: string;
  /** A request with the sandbox's headers and token; null as token: without. */
  send(
    method: string,
    path: string,
    init?: { body?: BodyInit; headers?: Record<string, string>; token?: string | null },
  ): Promise<Answer>;
  /** A unary method of filesystem.Filesystem. */
  rpc(method: string, message: object, headers?: Record<string, string>): Promise<Answer>;
  /** Each output of a shell command. */
  output(command: string): Promise<string>;
}

export const createEnvd = async (): Promise<Envd> => {
  const wire = await createWire();
  const { sandboxID: sandboxId, envdAccessToken } = await wire.create();
  const token = String(envdAccessToken);
  const send: Envd['send'] = async (method, path, { body, headers = {}, token: own = token } = {}) => {
    const response = await fetch(`${installation().url}${path}`, {
      method,
      headers: { 'e2b-sandbox-id': sandboxId, ...(own === null ? {} : { 'x-access-token': own }), ...headers },
      ...(body === undefined ? {} : { body }),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('application/json') === true;
    return { status: response.status, text, body: isJson ? JSON.parse(text) : undefined, headers: response.headers };
  };
  return {
    wire,
    sandboxId,
    token,
    send,
    rpc: (method, message, headers = {}) =>
      send('POST', `/filesystem.Filesystem/${method}`, {
        body: JSON.stringify(message),
        headers: { 'content-type': 'application/json', ...headers },
      }),
    output: async (command) => {
      const path = `/v1/sandboxes/${sandboxId}/exec`;
      const { stdout } = await wire.tenant.json<{ stdout: string }>(path, { method: 'POST', json: { command } });
      return stdout;
    },
  };
};

export const basic = (user: string): Record<string, string> => ({ authorization: `Basic ${btoa(`${user}:`)}` });
