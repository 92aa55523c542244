import { expect, test } from 'vitest';
import { openDirectory } from '../../db/client.ts';
import { apiKeys, tenants } from '../../db/directory.ts';
import { Keyring } from '../../worker/core/keys/keyring.ts';
import { SqliteD1 } from './support/sqlite-d1.ts';

test('who tries out keys by the thousands does not push known ones out of the cache', async () => {
  const d1 = new SqliteD1('directory');
  let reads = 0;
  const counting = {
    prepare: (text: string) => {
      if (text.startsWith('select')) reads += 1;
      return d1.prepare(text);
    },
  };
  const directory = openDirectory(counting as unknown as Parameters<typeof openDirectory>[0]);
  const keyring = new Keyring('pepper');
  const known = await keyring.digest('known');
  await directory.insert(tenants).values({
    id: 'own',
    name: 'own',
    createdAtMs: 0,
    maxSandboxes: 1,
    maxCpus: 1,
    maxMemoryMiB: 1,
    maxTtlSeconds: 1,
    maxStorageBytes: 1,
    requestsPerSecond: 1,
  });
  await directory.insert(apiKeys).values({
    id: 'key',
    tenantId: 'own',
    name: 'key',
    digest: known,
    hint: 'hint',
    scopes: ['read'],
    createdAtMs: 0,
  });
  expect((await keyring.find(directory, known, 1))?.key.id).toBe('key');
  for (let guess = 0; guess < 10_500; guess += 1) await keyring.find(directory, `guess-${guess}`, 1);
  const before = reads;
  expect((await keyring.find(directory, known, 1))?.key.id).toBe('key');
  expect(await keyring.find(directory, 'guess-10499', 1)).toBeUndefined();
  expect(reads).toBe(before);
});
