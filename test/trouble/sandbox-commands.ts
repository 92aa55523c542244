import type { TestTenant } from '../installation.ts';

export interface ExecAnswer {
  stdout: string;
  stderr: string;
  exitCode: number | null;
}

export interface TimedResponse {
  status: number;
  retryAfter: string | null;
  body: { error?: { code: string; message: string } } & Record<string, unknown>;
  elapsedMs: number;
}

/** stdout of a command that has to end with 0. */
export async function run(tenant: TestTenant, sandboxId: string, command: string): Promise<string> {
  const path = `/v1/sandboxes/${sandboxId}/exec`;
  const { stdout, stderr, exitCode } = await tenant.json<ExecAnswer>(path, { method: 'POST', json: { command } });
  if (exitCode !== 0) throw new Error(`\`${command}\` ended with ${exitCode}: ${stderr}`);
  return stdout;
}

/** Whatever it is answered, and after how long. */
export async function post(
  tenant: TestTenant,
  path: string,
  json: unknown,
  headers: Record<string, string> = {},
): Promise<TimedResponse> {
  const startedAt = performance.now();
  const response = await tenant.api(path, { method: 'POST', json, headers });
  const text = await response.text();
  return {
    status: response.status,
    retryAfter: response.headers.get('retry-after'),
    body: (text === '' ? {} : JSON.parse(text)) as TimedResponse['body'],
    elapsedMs: performance.now() - startedAt,
  };
}

export const postExec = (tenant: TestTenant, sandboxId: string, command: string): Promise<TimedResponse> =>
  post(tenant, `/v1/sandboxes/${sandboxId}/exec`, { command });

export interface SandboxView {
  id: string;
  state: string;
  endReason: string | null;
}

export const readSandbox = (tenant: TestTenant, sandboxId: string): Promise<SandboxView> =>
  tenant.json<SandboxView>(`/v1/sandboxes/${sandboxId}`);

export async function killSandbox(tenant: TestTenant, sandboxId: string): Promise<number> {
  const response = await tenant.api(`/v1/sandboxes/${sandboxId}`, { method: 'DELETE' });
  await response.arrayBuffer();
  return response.status;
}
