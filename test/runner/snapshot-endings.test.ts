import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { CaptureRequest } from '../../runner/engine/port.ts';
import { RunnerError } from '../../runner/protocol/errors.ts';
import { EngineDouble } from './support/doubles.ts';
import { hex } from './support/edge.ts';
import { startHarness, type Harness } from './support/harness.ts';

/** What is captured is never whole: it fails as the real one does when the container is removed from under it. */
class RemovedMeanwhile extends EngineDouble {
  begun = Promise.withResolvers<string>();
  #removed = Promise.withResolvers<void>();

  /** One that goes on reading what is not there any more. */
  readsOn = false;

  override async capture({ containerId }: CaptureRequest, _consume: unknown, signal: AbortSignal): Promise<never> {
    this.begun.resolve(containerId);
    if (this.readsOn) await once(signal, 'abort').then(() => signal.throwIfAborted());
    await this.#removed.promise;
    throw new RunnerError('engine_failed', 'The sandbox’s files could not be copied.');
  }
  override async remove(id: string): Promise<void> {
    await super.remove(id);
    this.#removed.resolve();
    this.#removed = Promise.withResolvers();
  }
}

const engine = new RemovedMeanwhile();
let harness: Harness;
beforeAll(async () => {
  harness = await startHarness({}, engine);
});
afterAll(() => harness.close());

async function beginSnapshot(ttlMs: number) {
  engine.begun = Promise.withResolvers();
  const { sandboxId } = await harness.create({ ttlMs });
  const key = Buffer.alloc(32).toString('base64');
  const job = { revision: 2, snapshotId: hex(16), key, passEnvironment: false, memory: true };
  const answer = harness.edge.call('sandbox.snapshot', { sandboxId }, job);
  const containerId = await engine.begun.promise;
  return { answer, containerId };
}

test('a sandbox whose time is up while its snapshot is taken is told as that, not as a fault of the engine', async () => {
  const { answer } = await beginSnapshot(1_000);
  expect((await answer).at(-1)).toMatchObject({
    fault: { code: 'sandbox_ended', message: expect.stringMatching(/while its snapshot was taken: its time was up/) },
  });
});

test('… and one that passes its disk limit meanwhile as that; it is read no further', async () => {
  engine.readsOn = true;
  const { answer, containerId } = await beginSnapshot(300_000);
  engine.emit({ kind: 'disk_limit', containerId });
  expect((await answer).at(-1)).toMatchObject({
    fault: { code: 'sandbox_ended', message: expect.stringMatching(/passes its disk limit/) },
  });
});
