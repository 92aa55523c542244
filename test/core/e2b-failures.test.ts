import { expect, test } from 'vitest';
import { newApp } from '../../worker/api/app-env.ts';
import { ServiceError, type ErrorCode } from '../../worker/core/errors.ts';
import { renderEnvdFailure } from '../../worker/dialects/e2b/envd/error.ts';
import { renderFileFailure } from '../../worker/dialects/e2b/envd/files/failure.ts';

/** The SDKs take a 502 of a sandbox's envd for its end. */
test.each<[ErrorCode, number]>([
  ['sandbox_ended', 502],
  ['not_found', 502],
  ['sandbox_not_running', 502],
  ['runner_lost', 503],
  ['stream_lost', 503],
  ['transfer_failed', 503],
  ['insufficient_storage', 507],
])('%s is %i: 502 says that a sandbox is gone, and nothing else says so', async (code, status) => {
  for (const render of [renderEnvdFailure, renderFileFailure]) {
    const app = newApp();
    app.get('/', (c) => {
      c.set('log', () => undefined);
      return render(new ServiceError(code, 'Because.'), c);
    });
    const answer = await app.request('/');
    expect([answer.status, (await answer.json()) as unknown]).toEqual([
      status,
      expect.objectContaining({ code: status }),
    ]);
  }
});
