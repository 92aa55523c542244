import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { InFlight } from '../../worker/durable/broker/in-flight.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const bounds = {
  perSandbox: 2,
  perTenantAndRunner: 3,
  waitingPerTenantAndRunner: 2,
  waitMs: 5_000,
  code: 'rate_limited' as const,
};

/** What became of the calls, in the order in which they were let in or refused. */
function startGate() {
  const gate = new InFlight(bounds);
  const told: string[] = [];
  const leaves = new Map<string, () => void>();
  const enter = (name: string, sandbox = 's', tenant = 't') =>
    void Promise.resolve(gate.enter(sandbox, tenant, 'r')).then(
      (leave) => {
        leaves.set(name, leave);
        told.push(name);
      },
      (error: { code: string }) => told.push(`${name} ${error.code}`),
    );
  const leave = async (name: string) => {
    leaves.get(name)?.();
    await vi.advanceTimersByTimeAsync(0);
  };
  return { enter, leave, told };
}

test('who finds no place waits for one, in the order of arrival; beyond that it is refused at once', async () => {
  const { enter, leave, told } = startGate();
  for (const name of ['1', '2', '3', '4', '5']) enter(name);
  await vi.advanceTimersByTimeAsync(0);
  expect(told).toEqual(['1', '2', '5 rate_limited']);
  await leave('2');
  await leave('1');
  expect(told.slice(3)).toEqual(['3', '4']);
  await leave('3');
  enter('6');
  await vi.advanceTimersByTimeAsync(0);
  expect(told.slice(5)).toEqual(['6']);
});

test('a wait ends after its time, and takes no place then', async () => {
  const { enter, leave, told } = startGate();
  for (const name of ['1', '2', '3']) enter(name);
  await vi.advanceTimersByTimeAsync(4_999);
  expect(told).toEqual(['1', '2']);
  await vi.advanceTimersByTimeAsync(1);
  expect(told).toEqual(['1', '2', '3 rate_limited']);
  await leave('1');
  enter('4');
  await vi.advanceTimersByTimeAsync(0);
  expect(told.at(-1)).toBe('4');
});

test('a place goes to the first whose sandbox has room, and never to another tenant', async () => {
  const { enter, leave, told } = startGate();
  for (const name of ['1', '2']) enter(name, 'a');
  enter('3', 'b');
  enter('4', 'a');
  enter('5', 'b');
  enter('of another', 'c', 'another');
  await vi.advanceTimersByTimeAsync(0);
  expect(told).toEqual(['1', '2', '3', 'of another']);
  await leave('of another');
  await leave('3');
  expect(told.slice(4)).toEqual(['5']);
  await leave('1');
  expect(told.slice(5)).toEqual(['4']);
});
