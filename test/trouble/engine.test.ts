import Docker from 'dockerode';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ensureImages, imageTag } from '../../local/images.ts';
import type { Installation } from '../../local/installation.ts';
import { createTenant, type TestTenant } from '../installation.ts';
import { startTestInstallation } from '../start-installation.ts';
import { waitFor } from '../wait-for.ts';
import { PrivateEngine } from './private-engine.ts';
import { killSandbox, postExec, readSandbox, run } from './sandbox-commands.ts';

const START_MS = 240_000;
/** The runner sees a lost container at once; a busy machine gets some room. */
const TOLD_MS = 30_000;

let engine: PrivateEngine | undefined;
let installation: Installation | undefined;

/** Every tag of the image that sandboxes are made of. */
async function listImageTags(): Promise<string[]> {
  const machineEngine = new Docker();
  await ensureImages(machineEngine, () => undefined);
  return (await machineEngine.getImage(imageTag('base')).inspect()).RepoTags;
}

const own = (): { engine: PrivateEngine; installation: Installation } => {
  if (!engine || !installation) throw new Error('they are there from beforeAll to afterAll');
  return { engine, installation };
};

const createOnceItWorks = (tenant: TestTenant) =>
  waitFor(
    'a create to work',
    async () => tenant.createSandbox({ network: 'off' }).catch(() => undefined),
    TOLD_MS,
    500,
  );

// Stopping the machine's engine would end what others run on it, so these tests bring one of their own.
beforeAll(async () => {
  engine = await PrivateEngine.start({ liveRestore: true });
  await engine.copyImages(await listImageTags());
  installation = await startTestInstallation({ dockerSocket: engine.socketPath });
}, START_MS);

afterAll(async () => {
  try {
    // A test that failed in between has left it stopped, and then nothing could be removed.
    await engine?.launch({ liveRestore: false });
    await installation?.stop();
  } finally {
    await engine?.remove();
  }
}, START_MS);

test(
  'an engine that restarts and keeps its containers is not noticed by commands that run, and creates work again',
  async () => {
    const { engine: private_, installation: service } = own();
    const tenant = await createTenant({}, service);
    const { id } = await tenant.createSandbox({ network: 'off' });
    const answer = postExec(tenant, id, 'for i in $(seq 1 30); do echo $i; sleep 0.1; done');
    await private_.stop();
    expect(await run(tenant, id, 'echo meanwhile')).toBe('meanwhile\n');
    await private_.launch({ liveRestore: true });
    expect((await answer).body).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/^1\n2\n[^]*\n30\n$/) as unknown,
    });
    const next = await createOnceItWorks(tenant);
    expect(await run(tenant, next.id, 'echo works')).toBe('works\n');
    expect(await killSandbox(tenant, id)).toBeLessThan(300);
    await waitFor('the kill to be done', async () => (await readSandbox(tenant, id)).state === 'ended', TOLD_MS);
    await tenant.cleanUp();
  },
  START_MS,
);

test(
  'an engine that takes its containers with it: their sandboxes are told as ended, commands fail, the next create works',
  async () => {
    const { engine: private_, installation: service } = own();
    const tenant = await createTenant({}, service);
    const { id } = await tenant.createSandbox({ network: 'off' });
    await private_.stop();
    await private_.launch({ liveRestore: false });
    const second = await createOnceItWorks(tenant);
    const answer = postExec(tenant, second.id, 'sleep 300');
    await waitFor(
      'the command to run',
      async () => (await run(tenant, second.id, 'ps ax')).includes('sleep 300'),
      TOLD_MS,
    );
    await private_.stop();
    // Told as an error, or as the end of a command that was ended: never as one that has done its work.
    const { status, body } = await answer;
    expect(status !== 200 || body['exitCode'] !== 0).toBe(true);
    await private_.launch({ liveRestore: false });
    for (const lost of [id, second.id]) {
      await waitFor(
        'the sandbox to have ended',
        async () => (await readSandbox(tenant, lost)).state === 'ended',
        TOLD_MS,
        200,
      );
      expect((await postExec(tenant, lost, 'true')).status).toBe(410);
    }
    const next = await createOnceItWorks(tenant);
    expect(await run(tenant, next.id, 'echo works')).toBe('works\n');
  },
  START_MS,
);
