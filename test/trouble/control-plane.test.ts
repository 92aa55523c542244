import { expect, test } from 'vitest';
import { waitFor } from '../wait-for.ts';
import { countedOutput, countingCommand, ProcessFollower } from './process-follower.ts';
import { readSandbox, run } from './sandbox-commands.ts';
import { useInstallation } from './use-installation.ts';

const AWAY_MS = 90_000;
const own = useInstallation();

/** What a client does whose connection broke: it tries again until it is let in. */
async function followToItsEnd(follower: ProcessFollower): Promise<void> {
  await waitFor(
    'the process to end',
    async () => {
      await follower.follow();
      return follower.exit !== undefined;
    },
    60_000,
    200,
  );
}

test('the worker restarts in the middle of a stream: with Last-Event-ID the client gets the rest, nothing lost or repeated', async () => {
  const tenant = await own.tenant();
  const { id } = await tenant.createSandbox();
  const follower = await ProcessFollower.start(tenant, id, countingCommand(300, 0.03));
  const ending = followToItsEnd(follower);
  await waitFor('some output', () => follower.output.length > 100, 10_000);
  await own.installation.controlPlane.stop();
  await own.installation.controlPlane.start();
  await ending;
  expect(follower.connections).toBeGreaterThan(1);
  expect(follower.output).toBe(countedOutput(300));
  expect(follower.droppedBytes).toBe(0);
});

test('an upload that a restart of the worker cuts leaves the file as it was', async () => {
  const tenant = await own.tenant();
  const { id } = await tenant.createSandbox();
  await run(tenant, id, 'echo before > /home/user/file');
  let sent = 0;
  const endless = new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      sent += 1;
      controller.enqueue(new Uint8Array(64 * 1024));
      await new Promise((resolve) => setTimeout(resolve, 5));
    },
  });
  const upload = tenant
    .api(`/v1/sandboxes/${id}/files/content?path=/home/user/file`, {
      method: 'PUT',
      body: endless,
      duplex: 'half',
    } as RequestInit)
    .then(
      (response) => response.status,
      () => 'cut',
    );
  await waitFor('the upload to be under way', () => sent > 50, 10_000);
  await own.installation.controlPlane.stop();
  await own.installation.controlPlane.start();
  expect(await upload).not.toBe(200);
  await own.installation.waitUntilReady();
  expect(await run(tenant, id, 'cat /home/user/file')).toBe('before\n');
  await waitFor(
    'nothing half-written to be left',
    async () => (await run(tenant, id, 'find /home/user -size +10k')) === '',
    10_000,
  );
});

test(
  'the control plane is away for 90 s: no sandbox is lost, and their processes ran on',
  { timeout: 180_000 },
  async () => {
    const tenant = await own.tenant();
    const sandboxes = [await tenant.createSandbox(), await tenant.createSandbox(), await tenant.createSandbox()];
    const followers = await Promise.all(
      sandboxes.map(({ id }) => ProcessFollower.start(tenant, id, countingCommand(85, 1))),
    );
    await own.installation.controlPlane.stop();
    await new Promise((resolve) => setTimeout(resolve, AWAY_MS)); // the time away is what is tested
    await own.installation.controlPlane.start();
    await own.installation.waitUntilReady();
    for (const { id } of sandboxes)
      expect(await readSandbox(tenant, id)).toMatchObject({ state: 'running', endReason: null });
    await Promise.all(followers.map(followToItsEnd));
    for (const follower of followers) expect(follower.output).toBe(countedOutput(85));
  },
);
