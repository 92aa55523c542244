import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Made once per installation, in the data dir that holds it (0700), in a file of its own (0600). */
export interface Secrets {
  /** 12 hex characters: all that we make on an engine or a firewall carries it. */
  installationId: string;
  keyPepper: string;
  adminApiKey: string;
  runnerJoinToken: string;
  redisPassword: string;
  /** For presigned URLs of the local R2. */
  s3AccessKeyId: string;
  s3SecretAccessKey: string;
  /** The local tenant's key, once it was made (see tenant.ts). */
  apiKey?: string;
}

const file = (dataDir: string) => join(dataDir, 'secrets.json');
const random = (bytes: number) => randomBytes(bytes).toString('hex');

export async function loadSecrets(dataDir: string): Promise<Secrets> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const content = await readFile(file(dataDir), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  const known = content === undefined ? {} : (JSON.parse(content) as Partial<Secrets>);
  const made = {
    installationId: random(6),
    keyPepper: random(32),
    adminApiKey: random(32),
    runnerJoinToken: random(32),
    redisPassword: random(32),
    s3AccessKeyId: random(16),
    s3SecretAccessKey: random(32),
  };
  const secrets: Secrets = { ...made, ...known };
  // An older installation's file lacks what has come since.
  if (Object.keys(made).some((name) => !(name in known))) await saveSecrets(dataDir, secrets);
  return secrets;
}

export async function saveSecrets(dataDir: string, secrets: Secrets): Promise<void> {
  const partial = `${file(dataDir)}.partial`;
  await writeFile(partial, `${JSON.stringify(secrets, null, 2)}\n`, { mode: 0o600 });
  await rename(partial, file(dataDir));
}
