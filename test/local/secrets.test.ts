import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadSecrets } from '../../local/secrets.ts';

let dataDir: string;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'glovebox-secrets-'));
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

test('secrets are made once, for their owner only', async () => {
  const made = await loadSecrets(dataDir);
  expect(await loadSecrets(dataDir)).toEqual(made);
  expect(new Set(Object.values(made)).size).toBe(Object.keys(made).length);
  expect((await stat(join(dataDir, 'secrets.json'))).mode & 0o777).toBe(0o600);
});

test('an older installation keeps what it has, and gains what has come since', async () => {
  const {
    s3AccessKeyId: _id,
    s3SecretAccessKey: _secret,
    ...older
  } = { ...(await loadSecrets(dataDir)), apiKey: 'gb_x' };
  await writeFile(join(dataDir, 'secrets.json'), JSON.stringify(older));
  const now = await loadSecrets(dataDir);
  expect(now).toMatchObject(older);
  expect(now.s3SecretAccessKey).toMatch(/^[0-9a-f]{64}$/);
  expect(JSON.parse(await readFile(join(dataDir, 'secrets.json'), 'utf8'))).toEqual(now);
});
