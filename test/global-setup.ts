import type { TestProject } from 'vitest/node';
import { startTestInstallation } from './start-installation.ts';

declare module 'vitest' {
  interface ProvidedContext {
    installation: { url: string; adminKey: string };
  }
}

/** One installation for every test of the `system` project. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const installation = await startTestInstallation();
  project.provide('installation', { url: installation.url, adminKey: installation.adminKey });
  return () => installation.stop();
}
