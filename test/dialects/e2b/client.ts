import { Sandbox, type SandboxOpts } from 'e2b';
import { createTenant, installation, type TestTenant } from '../../installation.ts';

export interface E2b {
  tenant: TestTenant;
  /** What every call of the SDK takes: the two addresses and the key, nothing else. */
  options: { apiUrl: string; sandboxUrl: string; apiKey: string };
  create(options?: SandboxOpts): Promise<Sandbox>;
  /** One without a token: today's SDK makes none, version 1 of the API still does. */
  createOpen(body?: Record<string, unknown>): Promise<Sandbox>;
  cleanUp(): Promise<void>;
}

export const e2bKeyOf = (key: string): string => key.replace(/^gb_/, 'e2b_');

export const createE2b = async (limits: Record<string, unknown> = {}): Promise<E2b> => {
  const tenant = await createTenant(limits);
  const { url } = installation();
  const options = { apiUrl: url, sandboxUrl: url, apiKey: e2bKeyOf(tenant.key) };
  return {
    tenant,
    options,
    create: (own = {}) => Sandbox.create({ ...own, ...options }),
    createOpen: async (own = {}) => {
      const response = await fetch(`${url}/sandboxes`, {
        method: 'POST',
        headers: { 'x-api-key': options.apiKey, 'content-type': 'application/json' },
        body: JSON.stringify({ templateID: 'base', secure: false, timeout: 300, ...own }),
      });
      const { sandboxID } = (await response.json()) as { sandboxID: string };
      return Sandbox.connect(sandboxID, options);
    },
    cleanUp: () => tenant.cleanUp(),
  };
};
