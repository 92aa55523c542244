import { expect, test } from 'vitest';
import { diskWorld, put } from '../support/disk-world.ts';

test('a commit looks everything up by a whole key: it takes no longer for a tenant, or a deployment, that stores much', async () => {
  const { ctx, diskId, database } = await diskWorld();
  const plans: string[] = [];
  const prepare = database.prepare.bind(database);
  database.prepare = (text) => {
    const statement = prepare(text);
    const bind = statement.bind.bind(statement);
    statement.bind = (...values) => {
      const steps = database.database.prepare(`explain query plan ${text}`).all(...values);
      plans.push(...steps.map(({ detail }) => String(detail)));
      return bind(...values);
    };
    return statement;
  };
  await put(ctx, diskId, '/a', 'text');
  await put(ctx, diskId, '/a', 'other', { precondition: { kind: 'match', etags: '*' } });
  const searches = plans.filter((step) => /^(SEARCH|SCAN)/.test(step) && !/given|subquery|let_go/.test(step));
  expect(searches.length).toBeGreaterThan(10);
  for (const step of searches)
    expect(step).toMatch(/\((id|tenant_id|tenant_id=\? AND digest|disk_id=\? AND path=\? AND name)=\?\)/);
  for (const step of searches.filter((one) => one.includes('blobs'))) expect(step).not.toContain('(tenant_id=?)');
});
