import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { letGo } from '../../runner/protocol/channel.ts';
import { errorFromRunner } from '../../worker/core/errors.ts';
import { isRefusal } from '../../worker/core/sandboxes/route.ts';
import { runLifecycle } from '../../worker/durable/broker/lifecycle.ts';
import { settle, unwrap } from '../../worker/durable/broker/outcome.ts';
import { hex } from './support/runner.ts';
import { ref, shardOver, TransportDouble } from './support/transport.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const pause = { ...ref, epoch: 1, revision: 2, memory: true };
const kill = { ...ref, epoch: 1, revision: 2, graceMs: 0 };
const failureOf = (call: Promise<unknown>) =>
  call.then(
    () => 'none',
    (error: unknown) => (error as { code: string }).code,
  );

test('a change that waits in the queue of a runner that is gone is never told as not_started: the runner does it when it is back', async () => {
  const transport = new TransportDouble();
  const failure = failureOf(runLifecycle(shardOver(transport), 'sandbox.pause', 'runner', pause, 60_000));
  await vi.advanceTimersByTimeAsync(0);
  expect(transport.jobs).toHaveLength(1);
  transport.boot = null;
  await vi.advanceTimersByTimeAsync(20_000);
  expect(await failure).toBe('runner_lost');
});

test('nor is one that a runner which lives does not come to in time', async () => {
  const transport = new TransportDouble();
  const add = transport.add.bind(transport);
  // So that waiting for somebody to take it ends before waiting for the answer does.
  transport.add = async (...job) => {
    await new Promise((resolve) => setTimeout(resolve, 600));
    await add(...job);
  };
  const failure = failureOf(runLifecycle(shardOver(transport), 'sandbox.pause', 'runner', pause, 1_250));
  await vi.advanceTimersByTimeAsync(1_500);
  expect(await failure).toBe('runner_lost');
});

test('of a runner that is known to be away nothing is queued but a kill; both are told not_started', async () => {
  const transport = new TransportDouble();
  transport.boot = null;
  const shard = shardOver(transport);
  expect(await failureOf(runLifecycle(shard, 'sandbox.pause', 'runner', pause, 1_000))).toBe('not_started');
  expect(transport.jobs).toEqual([]);
  expect(await failureOf(runLifecycle(shard, 'sandbox.kill', 'runner', kill, 1_000))).toBe('not_started');
  expect(transport.jobs.map(({ name }) => name)).toEqual(['sandbox.kill']);
});

test('a change that is taken by the runner’s next life is answered by it', async () => {
  const transport = new TransportDouble();
  const outcome = { state: 'paused', expiresAtMs: 1 };
  const call = runLifecycle(shardOver(transport), 'sandbox.pause', 'runner', pause, 60_000);
  await vi.advanceTimersByTimeAsync(0);
  transport.boot = null;
  await vi.advanceTimersByTimeAsync(2_000);
  transport.boot = hex(16);
  transport.last.say({ t: 'accepted' });
  transport.last.say({ t: 'result', value: outcome });
  expect(await call).toEqual(outcome);
});

test('a change that its runner lets go of, as it stops, is asked for again: it may have been done', async () => {
  const transport = new TransportDouble();
  const outcome = { state: 'paused', expiresAtMs: 1 };
  const call = runLifecycle(shardOver(transport), 'sandbox.pause', 'runner', pause, 60_000);
  await vi.advanceTimersByTimeAsync(0);
  transport.last.say({ t: 'accepted' });
  transport.last.say(letGo);
  transport.boot = hex(16);
  await vi.advanceTimersByTimeAsync(3_000);
  expect(transport.jobs).toHaveLength(2);
  transport.last.say({ t: 'accepted' });
  transport.last.say({ t: 'result', value: outcome });
  expect(await call).toEqual(outcome);
});

test('the runner’s own word is known as that beyond the shard', async () => {
  for (const [code, refused] of [
    ['agent_unavailable', true],
    ['internal', false],
  ] as const) {
    const told = await settle(() => Promise.reject(errorFromRunner({ code, message: 'The script says so.' })));
    const error = await Promise.resolve(structuredClone(told))
      .then(unwrap)
      .catch((thrown: unknown) => thrown);
    expect([code, isRefusal(error)]).toEqual([code, refused]);
  }
});
