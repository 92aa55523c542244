import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export const LOCAL_ENV = 'local.env';

/** One key, by the prefix of each dialect. */
export function spellKey(key: string): { native: string; e2b: string; acontext: string; sandbase: string } {
  const body = key.replace(/^gb_/, '');
  return { native: `gb_${body}`, e2b: `e2b_${body}`, acontext: `sk-ac-${body}`, sandbase: `sk-sb-${body}` };
}

/** Writes the file that a shell can source; only its owner can read it. */
export async function writeLocalEnv(dataDir: string, url: string, key: string): Promise<void> {
  const keys = spellKey(key);
  const variables = {
    GLOVEBOX_URL: url,
    GLOVEBOX_API_KEY: keys.native,
    E2B_API_URL: url,
    E2B_SANDBOX_URL: url,
    E2B_API_KEY: keys.e2b,
    ACONTEXT_BASE_URL: `${url}/api/v1`,
    ACONTEXT_API_KEY: keys.acontext,
  };
  const path = join(dataDir, LOCAL_ENV);
  const lines = Object.entries(variables).map(([name, value]) => `export ${name}='${value}'`);
  await rm(`${path}.partial`, { force: true });
  await writeFile(`${path}.partial`, `${lines.join('\n')}\n`, { mode: 0o600 });
  await rename(`${path}.partial`, path);
}
