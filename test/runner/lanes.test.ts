import { describe, expect, test } from 'vitest';
import { Lanes } from '../../runner/sandboxes/lanes.ts';

/** Work that goes on until it is let go, whatever its signal says. */
function held() {
  const begun = Promise.withResolvers<AbortSignal>();
  const { promise, resolve } = Promise.withResolvers<void>();
  const work = async (signal: AbortSignal): Promise<void> => {
    begun.resolve(signal);
    await promise;
  };
  return { work, begun: begun.promise, letGo: () => resolve() };
}
const change = (key: string, limitMs = 5_000) => ({ key, kill: false, limitMs });
const kill = { key: 'kill', kill: true, limitMs: 5_000 };

describe('the lifecycle jobs of one sandbox', () => {
  test('come one after the other, and a repeat joins the one that it repeats', async () => {
    const lanes = new Lanes();
    const first = held();
    const told: string[] = [];
    const one = lanes.run('a', change('1'), first.work).then(() => told.push('1'));
    const two = lanes.run('a', change('2'), async () => told.push('2 began'));
    expect(lanes.run('a', change('2'), async () => told.push('twice'))).toBe(two);
    await lanes.run('b', change('1'), async () => told.push('another’s'));
    first.letGo();
    await Promise.all([one, two]);
    expect(told).toEqual(['another’s', '1', '2 began']);
  });

  test('never overlap: what has waited for its whole time gives up, and who comes after it waits for the first', async () => {
    const lanes = new Lanes();
    const first = held();
    const told: string[] = [];
    const one = lanes.run('a', change('1'), first.work).then(() => told.push('1'));
    await first.begun;
    const late = lanes.run('a', change('2', 20), async () => told.push('2 began'));
    const third = lanes.run('a', change('3'), async () => told.push('3 began'));
    await expect(late).rejects.toMatchObject({ code: 'deadline_exceeded' });
    const fourth = lanes.run('a', change('4'), async () => told.push('4 began'));
    first.letGo();
    await Promise.all([one, third, fourth]);
    expect(told).toEqual(['1', '3 began', '4 began']);
  });

  test('are overtaken by a kill, which waits for what it has aborted', async () => {
    const lanes = new Lanes();
    const first = held();
    const one = lanes.run('a', change('1'), first.work);
    const signal = await first.begun;
    const waiting = lanes.run('a', change('2'), async () => 'began');
    const told: string[] = [];
    const killed = lanes.run('a', kill, async () => told.push('killed'));
    expect(signal.aborted).toBe(true);
    void one.then(() => told.push('1'));
    first.letGo();
    await expect(waiting).rejects.toMatchObject({ code: 'stale_revision' });
    await killed;
    expect(told).toEqual(['1', 'killed']);
    await lanes.idle();
  });
});
