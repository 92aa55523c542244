import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { limits } from '../../runner/protocol/limits.ts';
import { controlProcess } from '../../worker/durable/broker/calls.ts';
import { DeliveryError } from '../../worker/durable/broker/ports.ts';
import { hex } from './support/runner.ts';
import { liveRoute, processSpec, ref, shardOver, TransportDouble } from './support/transport.ts';

let transport: TransportDouble;
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] });
  transport = new TransportDouble();
});
afterEach(() => {
  vi.useRealTimers();
});

const { processId } = processSpec;
/** Input, and what became of it: 'done' or the code of a failure; undefined so far. */
const write = async () => {
  const outcome: { is?: string } = {};
  controlProcess(shardOver(transport), ref, liveRoute, { processId }, { op: 'stdin' }, Buffer.from('bytes')).then(
    () => (outcome.is = 'done'),
    (error: { code: string }) => (outcome.is = error.code),
  );
  await vi.advanceTimersByTimeAsync(0);
  return outcome;
};
const answer = () =>
  transport.listener?.entry({ c: transport.told[0]?.header.c, q: 0, t: 'result', value: {} }, undefined);

describe('input that the runner has before it', () => {
  test('is waited for as long as the runner may take to answer', async () => {
    const outcome = await write();
    await vi.advanceTimersByTimeAsync(limits.startWithinMs + limits.stdinAnswerMs);
    expect(outcome.is).toBeUndefined();
    answer();
    await vi.advanceTimersByTimeAsync(0);
    expect(outcome.is).toBe('done');
  });

  test('may have been taken where no answer comes, or another life of the runner is there', async () => {
    const unanswered = await write();
    await vi.advanceTimersByTimeAsync(limits.startWithinMs + limits.stdinAnswerMs + 1_500);
    expect(unanswered.is).toBe('runner_lost');
    const outlived = await write();
    transport.boot = hex(16);
    await vi.advanceTimersByTimeAsync(4_000);
    expect(outlived.is).toBe('runner_lost');
  });
});

describe('input that did not reach Redis for certain', () => {
  const unknown = () => new DeliveryError('unknown', 'the connection broke');
  const refused = () => new DeliveryError('refused', 'no connection');

  test('is sent again where that may be, and in doubt where it fails again', async () => {
    transport.unsent.push(unknown());
    const again = await write();
    answer();
    await vi.advanceTimersByTimeAsync(0);
    expect(again.is).toBe('done');
    for (const second of [unknown(), refused()]) {
      transport.unsent.push(unknown(), second);
      expect((await write()).is).toBe('runner_lost');
    }
  });

  test('was not taken where it was refused, or its runner’s life is over', async () => {
    transport.unsent.push(refused());
    expect((await write()).is).toBe('not_started');
    transport.lease = async () => hex(16);
    expect((await write()).is).toBe('not_started');
  });
});
