import { expect, test } from 'vitest';
import { createTenant, installation } from '../installation.ts';

const asAdmin = async (method: string, name: string, body?: unknown) => {
  const response = await fetch(`${installation().url}/v1/templates/${name}`, {
    method,
    headers: { authorization: `Bearer ${installation().adminKey}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
};

test('the administrator sets how many warm containers are kept; tenants see name and image only', async () => {
  const { body: before } = await asAdmin('GET', 'base');
  const warmCount = Number(before['warmCount']);
  try {
    const changed = await asAdmin('PATCH', 'base', { warmCount: warmCount + 1 });
    expect(changed).toEqual({ status: 200, body: { ...before, warmCount: warmCount + 1 } });
    expect(await asAdmin('GET', 'base')).toEqual(changed);
  } finally {
    await asAdmin('PATCH', 'base', { warmCount });
  }
  const { templates } = await (await createTenant()).json('/v1/templates');
  expect(templates).toContainEqual({ name: 'base', image: before['image'] });
});

test('a number out of its bounds, another field or an empty change is 400; an unknown template is 404', async () => {
  for (const body of [{ warmCount: -1 }, { warmCount: 257 }, { warmCount: 1.5 }, { warmCount: 1, image: 'x' }, {}])
    expect((await asAdmin('PATCH', 'base', body)).status).toBe(400);
  for (const answer of [await asAdmin('GET', 'none'), await asAdmin('PATCH', 'none', { warmCount: 1 })])
    expect(answer).toMatchObject({ status: 404, body: { error: { code: 'not_found' } } });
});
