import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { convertV4MiniflareOptions, Miniflare } from 'miniflare';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { applyMigrations } from '../../local/migrations.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'glovebox-d1-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('migrations are applied once, recorded as wrangler does, and a broken one leaves nothing behind', async () => {
  const migrations = join(folder, 'migrations');
  await mkdir(migrations);
  await writeFile(
    join(migrations, '0000_first.sql'),
    'CREATE TABLE a (x);\n--> statement-breakpoint\nINSERT INTO a VALUES (1);',
  );
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      modules: true,
      script: 'export default {}',
      compatibilityDate: '2026-10-01',
      d1Databases: { DB: 'test' },
      telemetry: { enabled: false },
    }),
  );
  try {
    const database = await miniflare.getD1Database('DB');
    expect(await applyMigrations(database, migrations)).toEqual(['0000_first.sql']);
    expect(await applyMigrations(database, migrations)).toEqual([]);
    await writeFile(
      join(migrations, '0001_broken.sql'),
      'INSERT INTO a VALUES (2);\n--> statement-breakpoint\nNONSENSE;',
    );
    await expect(applyMigrations(database, migrations)).rejects.toThrow(/NONSENSE/);
    expect((await database.prepare('SELECT x FROM a').all()).results).toEqual([{ x: 1 }]);
    const { results } = await database.prepare('SELECT name FROM d1_migrations').all();
    expect(results).toEqual([{ name: '0000_first.sql' }]);
  } finally {
    await miniflare.dispose();
  }
});
