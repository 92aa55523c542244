import { expect, test } from 'vitest';
import { createTenant, installation } from '../installation.ts';

const list = (key: string) =>
  fetch(`${installation().url}/v1/runners`, { headers: { authorization: `Bearer ${key}` } });

test('the administrator sees the runners, and what a pause that keeps processes does on each; a tenant does not', async () => {
  const answer = await list(installation().adminKey);
  expect(answer.status).toBe(200);
  const { runners } = (await answer.json()) as { runners: Record<string, unknown>[] };
  expect(runners).toHaveLength(1);
  expect(runners[0]).toMatchObject({
    status: 'online',
    runtime: 'runc',
    checkpoint: expect.stringMatching(/^(freeze|criu)$/),
  });
  const { key } = await createTenant();
  expect((await list(key)).status).toBe(403);
});
