import { expect, test } from 'vitest';
import type { TestTenant } from '../installation.ts';
import { waitFor } from '../wait-for.ts';
import { countedOutput, countingCommand, ProcessFollower } from './process-follower.ts';
import { postExec, readSandbox, run } from './sandbox-commands.ts';
import { useInstallation } from './use-installation.ts';

const RUNNER_LOST_MS = 25_000;
const NOT_STARTED_MS = 8_000;
/** A stop leaves sandboxes to the next life, as on a node of its own. */
const own = useInstallation({}, { GLOVEBOX_REMOVE_ON_EXIT: '0' });

const readCount = async (tenant: TestTenant, id: string): Promise<string> =>
  run(tenant, id, 'cat /home/user/count 2>/dev/null || true');

async function restartRunner(): Promise<void> {
  await own.installation.runner.start();
  await own.installation.waitUntilReady();
}

test('the runner is killed in the middle of an exec: the caller is told within 25 s, nothing runs twice, the sandbox lives on', async () => {
  const tenant = await own.tenant();
  const { id } = await tenant.createSandbox();
  await run(tenant, id, 'echo kept > /home/user/file');
  const follower = await ProcessFollower.start(tenant, id, countingCommand(60, 0.5));
  const answer = postExec(tenant, id, 'echo ran >> /home/user/count; sleep 300');
  await waitFor('the command to run', async () => (await readCount(tenant, id)) === 'ran\n', 5_000);

  const killedAt = performance.now();
  await own.installation.runner.kill('SIGKILL');
  expect(await answer).toMatchObject({ status: 502, body: { error: { code: 'runner_lost' } } });
  expect(performance.now() - killedAt).toBeLessThan(RUNNER_LOST_MS);

  await restartRunner();
  await waitFor('the sandbox to answer', async () => (await postExec(tenant, id, 'true')).status === 200, 15_000, 100);
  expect(await readSandbox(tenant, id)).toMatchObject({ state: 'running' });
  expect(await readCount(tenant, id)).toBe('ran\n');
  expect(await run(tenant, id, 'cat /home/user/file')).toBe('kept\n');
  await follower.follow();
  expect(follower).toMatchObject({ output: countedOutput(60), droppedBytes: 0, exit: { exitCode: 0 } });
});

test('an exec while the runner is away is refused with 503 within 8 s and never runs later', async () => {
  const tenant = await own.tenant();
  const { id } = await tenant.createSandbox();
  await own.installation.runner.kill('SIGKILL');
  // The first is delivered to a runner whose lease still lives, the second may be refused at once.
  const refused = [
    await postExec(tenant, id, 'echo ran >> /home/user/count'),
    await postExec(tenant, id, 'echo ran >> /home/user/count'),
  ];
  for (const answer of refused) {
    expect(answer).toMatchObject({ status: 503, body: { error: { code: 'not_started' } } });
    expect(answer.retryAfter).not.toBeNull();
    expect(answer.elapsedMs).toBeLessThan(NOT_STARTED_MS);
  }
  await restartRunner();
  await waitFor('the sandbox to answer', async () => (await postExec(tenant, id, 'true')).status === 200, 15_000, 100);
  expect(await readCount(tenant, id)).toBe('');
});

/** How a life of the runner ends before the next one begins. */
const endings = {
  'that is stopped': () => own.installation.runner.stop(),
  'that is killed, and there again before its lease has run out': () => own.installation.runner.kill('SIGKILL'),
};

test.for(Object.entries(endings))(
  'a runner %s: a command under way is answered whole, its stream goes on',
  async ([, end]) => {
    const tenant = await own.tenant();
    const { id } = await tenant.createSandbox();
    const follower = await ProcessFollower.start(tenant, id, countingCommand(130, 0.1));
    const following = follower.follow();
    const answer = postExec(tenant, id, `touch /home/user/begun; ${countingCommand(100, 0.1)}`);
    await waitFor('the command to run', async () => (await run(tenant, id, 'ls /home/user')).includes('begun'), 5_000);
    await waitFor('some output', () => follower.output.length > 20, 10_000);
    await end();
    await restartRunner();
    expect(await answer).toMatchObject({ status: 200, body: { stdout: countedOutput(100), exitCode: 0 } });
    await following;
    expect(follower.cut).toBeUndefined();
    expect(follower).toMatchObject({ output: countedOutput(130), droppedBytes: 0, exit: { exitCode: 0 } });
    expect(await readSandbox(tenant, id)).toMatchObject({ state: 'running' });
  },
);
