import { expect, test } from 'vitest';
import { waitFor } from '../wait-for.ts';
import { countedOutput, countingCommand, ProcessFollower } from './process-follower.ts';
import { postExec, run } from './sandbox-commands.ts';
import { useInstallation } from './use-installation.ts';

const NOT_STARTED_MS = 8_000;
const own = useInstallation();

test('a stream goes on without a byte lost or repeated when Redis stops and starts, with all that it held gone', async () => {
  const tenant = await own.tenant();
  const { id } = await tenant.createSandbox();
  const follower = await ProcessFollower.start(tenant, id, countingCommand(200, 0.03));
  const following = follower.follow();
  await waitFor('some output', () => follower.output.length > 100, 10_000);
  await own.installation.redis.stop();
  await own.installation.redis.start();
  await following;
  expect(follower.cut).toBeUndefined();
  expect(follower.output).toBe(countedOutput(200));
  expect(follower.droppedBytes).toBe(0);
  expect(follower.exit).toMatchObject({ exitCode: 0, reason: 'exited' });
});

test('without Redis an exec is refused with 503 within 8 s, never runs later, and the next one works once it is back', async () => {
  const tenant = await own.tenant();
  const { id } = await tenant.createSandbox();
  await own.installation.redis.stop();
  const refused = await Promise.all(
    [1, 2, 3].map((number) => postExec(tenant, id, `echo ran > /home/user/late-${number}`)),
  );
  await own.installation.redis.start();
  for (const answer of refused) {
    expect(answer).toMatchObject({ status: 503, body: { error: { code: 'not_started' } } });
    expect(answer.retryAfter).not.toBeNull();
    expect(answer.elapsedMs).toBeLessThan(NOT_STARTED_MS);
  }
  await waitFor('an exec to work again', async () => (await postExec(tenant, id, 'true')).status === 200, 20_000, 100);
  expect(await run(tenant, id, 'ls /home/user')).not.toContain('late');
});

test('a command that ends while Redis is away is told to its caller afterwards', async () => {
  const tenant = await own.tenant();
  const { id } = await tenant.createSandbox();
  const answer = postExec(tenant, id, 'touch /home/user/begun; sleep 1; echo done');
  await waitFor('the command to run', async () => (await run(tenant, id, 'ls /home/user')).includes('begun'), 5_000);
  await own.installation.redis.stop();
  await new Promise((resolve) => setTimeout(resolve, 1_500)); // the command's own second has to pass meanwhile
  await own.installation.redis.start();
  expect(await answer).toMatchObject({ status: 200, body: { stdout: 'done\n', exitCode: 0 } });
});
