import { expect, test } from 'vitest';
import { newApp } from '../../worker/api/app-env.ts';
import { requestLog } from '../../worker/middleware/request-log.ts';

test('the access log has no signed URL in it', async () => {
  const lines: Record<string, unknown>[] = [];
  const app = newApp();
  app.use(requestLog((line) => lines.push(line)));
  app.get('*', (c) => c.text('here'));
  const token = 'ab'.repeat(32);
  for (const path of [`/v1/material/${token}`, `/api/v1/material/${token}`, '/v1/me']) await app.request(path);
  expect(lines.map(({ path }) => path)).toEqual(['/v1/material/…', '/api/v1/material/…', '/v1/me']);
});
