import { expect, test } from 'vitest';
import { readEvents } from '../../bench/server-sent-events.ts';
import { findComponents, readMemory } from '../../bench/components.ts';
import type { TestTenant } from '../installation.ts';
import { waitFor } from '../wait-for.ts';
import { post, postExec, run } from './sandbox-commands.ts';
import { useInstallation } from './use-installation.ts';

const NODE_LIMIT = 24;
/** Well under the 200 MB that the stalled reader doesn't take. */
const FLAT_MIB = 80;
/** Placement sees what has ended with the runner's next heartbeat. */
const ROOM_MS = 15_000;
const own = useInstallation({}, { GLOVEBOX_SANDBOX_LIMIT: String(NODE_LIMIT), GLOVEBOX_WARM_LIMIT: '4' });

/** The node may still count what other tests have ended. */
const createSandbox = (tenant: TestTenant): Promise<{ id: string }> =>
  waitFor('room for a sandbox', () => tenant.createSandbox().catch(() => undefined), ROOM_MS, 200);

test('a create over the tenant’s quota is 429 with Retry-After, and works once one has ended', async () => {
  const tenant = await own.tenant({ maxSandboxes: 2 });
  const first = await createSandbox(tenant);
  await createSandbox(tenant);
  const refused = await post(tenant, '/v1/sandboxes', {});
  expect(refused).toMatchObject({ status: 429, body: { error: { code: 'quota_exceeded' } } });
  expect(Number(refused.retryAfter)).toBeGreaterThan(0);
  await tenant.json(`/v1/sandboxes/${first.id}`, { method: 'DELETE' });
  await createSandbox(tenant);
  await tenant.cleanUp();
});

test('a quota holds against creates that come at once', async () => {
  const tenant = await own.tenant({ maxSandboxes: 3 });
  const answers = await Promise.all(Array.from({ length: 8 }, () => post(tenant, '/v1/sandboxes', {})));
  expect(answers.filter(({ status }) => status === 201)).toHaveLength(3);
  expect(answers.filter(({ status }) => status === 429)).toHaveLength(5);
  await tenant.cleanUp();
});

test('200 requests at once over 10 sandboxes are all answered, each with its own output', async () => {
  const tenant = await own.tenant();
  const sandboxes = await Promise.all(Array.from({ length: 10 }, () => createSandbox(tenant)));
  const answers = await Promise.all(
    Array.from({ length: 200 }, (_, index) => postExec(tenant, sandboxes[index % 10]?.id ?? '', `echo ${index}`)),
  );
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  expect(answers.map(({ body }) => body['stdout'])).toEqual(answers.map((_, index) => `${index}\n`));
  await tenant.cleanUp();
});

test('200 requests at once for one sandbox: some are told to wait, none is lost or hangs', async () => {
  const tenant = await own.tenant();
  const { id } = await createSandbox(tenant);
  const answers = await Promise.all(
    Array.from({ length: 200 }, (_, index) => postExec(tenant, id, `echo ${index} | tee -a /home/user/all`)),
  );
  const done = answers.filter(({ status }) => status === 200);
  expect(done.length).toBeGreaterThanOrEqual(64);
  for (const answer of answers.filter(({ status }) => status !== 200)) {
    expect(answer.status).toBe(429);
    expect(Number(answer.retryAfter)).toBeGreaterThan(0);
  }
  expect((await run(tenant, id, 'wc -l < /home/user/all')).trim()).toBe(String(done.length));
  await tenant.cleanUp();
});

test(
  'a client that stops reading 200 MB costs no memory and holds nobody else up; its command still ends',
  { timeout: 120_000 },
  async () => {
    const tenant = await own.tenant();
    const { id } = await createSandbox(tenant);
    const components = await findComponents(own.installation.url);
    expect([...components.keys()].sort()).toEqual(['engine', 'redis', 'runner', 'worker']);
    const before = await readMemory(components);

    const response = await tenant.api(`/v1/sandboxes/${id}/exec`, {
      method: 'POST',
      json: { command: 'head -c 200000000 /dev/zero | tr "\\\\0" x; touch /home/user/ended' },
      headers: { accept: 'text/event-stream' },
    });
    expect(response.status).toBe(200);
    const events = readEvents(response.body ?? new ReadableStream());
    const { value: first } = await events.next();
    expect(first?.event).toBe('started');

    const others: number[] = [];
    const peak = { ...before };
    await waitFor(
      'the command to end although nobody reads',
      async () => {
        const answer = await postExec(tenant, id, 'test -e /home/user/ended');
        others.push(answer.elapsedMs);
        for (const [name, value] of Object.entries(await readMemory(components)))
          peak[name] = Math.max(peak[name] ?? 0, value);
        return answer.body['exitCode'] === 0;
      },
      90_000,
      250,
    );
    for (const [name, value] of Object.entries(peak))
      expect.soft(value - (before[name] ?? 0), name).toBeLessThan(FLAT_MIB);
    expect(Math.max(...others)).toBeLessThan(5_000);
    await events.return(undefined);
    await tenant.cleanUp();
  },
);

test('a create when the node is full is 503 with Retry-After; nothing is left behind, and it works once there is room', async () => {
  const tenant = await own.tenant();
  const countLive = async (): Promise<number> => {
    const { sandboxes } = await tenant.json<{ sandboxes: unknown[] }>('/v1/sandboxes?limit=100');
    return sandboxes.length;
  };
  const fill = async () => {
    const missing = NODE_LIMIT - (await countLive());
    await Promise.all(Array.from({ length: missing }, () => post(tenant, '/v1/sandboxes', {})));
    return (await countLive()) === NODE_LIMIT;
  };
  await waitFor('the node to be full of sandboxes', fill, 30_000, 200);
  const refused = await Promise.all(Array.from({ length: 3 }, () => post(tenant, '/v1/sandboxes', {})));
  for (const answer of refused) {
    expect(answer).toMatchObject({ status: 503, body: { error: { code: 'capacity_exhausted' } } });
    expect(Number(answer.retryAfter)).toBeGreaterThan(0);
  }
  expect(await countLive()).toBe(NODE_LIMIT);
  await tenant.cleanUp();
  await createSandbox(tenant);
  await tenant.cleanUp();
});
