import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { InputQueue } from '../../runner/agent/inside/input-queue.ts';
import { limits } from '../../runner/protocol/limits.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

const kib = (count: number, fill: string): Uint8Array => Buffer.alloc(count * 1024, fill);

/** Full but for one KiB, with a process that does not read. */
function fullQueue() {
  let got = '';
  const queue = new InputQueue((bytes) => (got += String.fromCharCode(bytes[0] ?? 0)));
  expect(queue.write(kib(1023, 'f'))).toBeUndefined();
  const results: string[] = [];
  const write = (bytes: Uint8Array, name: string): void => {
    const told = (how: string) => () => void results.push(`${name} ${how}`);
    queue.write(bytes)?.then(told('taken'), (error: { code: string }) => told(error.code)());
  };
  return { queue, write, results, got: () => got };
}
const settled = () => vi.advanceTimersByTimeAsync(0);

test('what does not fit is taken in the order of its coming, also what would fit by itself, and the end comes last', async () => {
  const { queue, write, results, got } = fullQueue();
  write(kib(2, 'a'), 'a');
  write(kib(1, 'b'), 'b');
  queue.close(() => results.push('end'));
  expect(() => queue.write(kib(1, 'c'))).toThrow('closed');
  expect(got()).toBe('f');
  queue.delivered(1024);
  await settled();
  expect([got(), results]).toEqual(['fa', ['a taken']]);
  queue.delivered(1024);
  await settled();
  expect([got(), results]).toEqual(['fab', ['a taken', 'end', 'b taken']]);
});

test('who waits in vain is told so, and nothing of it is taken; who waits behind it is not held up any more', async () => {
  const { queue, write, results, got } = fullQueue();
  write(kib(256, 'a'), 'a');
  await vi.advanceTimersByTimeAsync(limits.stdinWaitMs - 1);
  write(kib(1, 'b'), 'b');
  write(kib(256, 'c'), 'c');
  queue.close(() => results.push('end'));
  expect(results).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect([got(), results]).toEqual(['fb', ['a deadline_exceeded', 'b taken']]);
  queue.delivered();
  await settled();
  expect([got(), results.slice(2)]).toEqual(['fbc', ['end', 'c taken']]);
  await vi.advanceTimersByTimeAsync(limits.stdinWaitMs);
  expect(results).toHaveLength(4);
});

test('nobody waits for a process that is gone', async () => {
  const { queue, write, results, got } = fullQueue();
  write(kib(2, 'a'), 'a');
  queue.abandon();
  await settled();
  expect([got(), results]).toEqual(['f', ['a stdin_closed']]);
  expect(() => queue.write(kib(1, 'b'))).toThrow('closed');
});

test('more than all the room goes alone', () => {
  let heldBytes = 0;
  const queue = new InputQueue((bytes) => (heldBytes += bytes.length));
  expect(queue.write(kib(2048, 'a'))).toBeUndefined();
  expect(heldBytes).toBe(2048 * 1024);
  expect(queue.write(kib(1, 'b'))).toBeDefined();
});
