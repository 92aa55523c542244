import { afterAll, beforeAll } from 'vitest';
import type { Installation, InstallationOptions } from '../../local/installation.ts';
import { createTenant, type TestTenant } from '../installation.ts';
import { startTestInstallation } from '../start-installation.ts';

export interface OwnInstallation {
  readonly installation: Installation;
  /** A tenant whose sandboxes end with the installation. */
  tenant(limits?: Record<string, unknown>): Promise<TestTenant>;
}

/** An installation for this file alone, which may break it. `env` is what its runner finds in its environment besides. */
export function useInstallation(
  options: Partial<InstallationOptions> = {},
  env: Record<string, string> = {},
): OwnInstallation {
  let installation: Installation | undefined;
  const get = (): Installation => {
    if (!installation) throw new Error('the installation is there from beforeAll to afterAll');
    return installation;
  };
  beforeAll(async () => {
    Object.assign(process.env, env);
    try {
      installation = await startTestInstallation(options);
    } finally {
      for (const name of Object.keys(env)) delete process.env[name];
    }
  });
  afterAll(() => installation?.stop());
  return {
    get installation() {
      return get();
    },
    tenant: (limits = {}) => createTenant(limits, get()),
  };
}
