import { saveSecrets, type Secrets } from './secrets.ts';

export const LOCAL_TENANT_NAME = 'local';

const REQUEST_DEADLINE_MS = 15_000;

/** The key of the tenant "local": the stored one while it is valid, else a new one, made through the admin API. */
export async function ensureLocalKey(url: string, dataDir: string, secrets: Secrets): Promise<string> {
  if (secrets.apiKey !== undefined) {
    const me = await call(url, 'GET', '/v1/me', secrets.apiKey);
    if (me.status === 200) return secrets.apiKey;
  }
  const tenant = await create<{ id: string }>(url, '/v1/tenants', secrets.adminApiKey, { name: LOCAL_TENANT_NAME });
  const path = `/v1/tenants/${tenant.id}/keys`;
  const scopes = ['read', 'write'];
  const { key } = await create<{ key: string }>(url, path, secrets.adminApiKey, { name: LOCAL_TENANT_NAME, scopes });
  await saveSecrets(dataDir, { ...secrets, apiKey: key });
  return key;
}

async function create<Answer>(url: string, path: string, key: string, body: object): Promise<Answer> {
  const response = await call(url, 'POST', path, key, body);
  if (!response.ok) throw new Error(`POST ${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as Answer;
}

function call(url: string, method: string, path: string, key: string, body?: object): Promise<Response> {
  return fetch(url + path, {
    method,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: body === undefined ? null : JSON.stringify(body),
    signal: AbortSignal.timeout(REQUEST_DEADLINE_MS),
  });
}
