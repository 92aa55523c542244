import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startInstallation, type Installation, type InstallationOptions } from '../local/installation.ts';

/** A whole installation in a folder of its own, on a free port. stop() also removes the folder. */
export const startTestInstallation = async (options: Partial<InstallationOptions> = {}): Promise<Installation> => {
  const dataDir = await mkdtemp(join(tmpdir(), 'glovebox-test-'));
  try {
    const installation = await startInstallation({ dataDir, ...options });
    return {
      ...installation,
      stop: async () => {
        await installation.stop();
        await rm(dataDir, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await rm(dataDir, { recursive: true, force: true });
    throw error;
  }
};
