import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Gate } from '../../runner/gate.ts';

const signal = new AbortController().signal;
const open = (over: { places?: number; waitMs?: number; waitingMax?: number } = {}) =>
  new Gate({ places: 1, waitMs: 5_000, waitingMax: 100, full: () => new Error('full'), ...over });

/** What all the microtasks do that a settled promise has left to do. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

/** Passes of a gate that are begun by name and ended by hand, and what came of each in which order. */
function visits(gate: Gate) {
  const entered: { party: string; number: number }[] = [];
  const leave = new Map<number, () => void>();
  const begin = (party: string, number: number, until = signal): Promise<void> =>
    gate.pass(party, until, () => {
      entered.push({ party, number });
      return new Promise((resolve) => leave.set(number, resolve));
    });
  const end = async (number: number): Promise<void> => {
    leave.get(number)?.();
    leave.delete(number);
    await settled();
  };
  return { entered, inside: leave, begin, end };
}

test('lets so many in, one party’s others in their order, and gives back the place of what failed', async () => {
  const gate = open();
  const first = Promise.withResolvers<void>();
  const told: number[] = [];
  const failing = gate.pass('a', signal, async () => {
    await first.promise;
    throw new Error('failed');
  });
  const others = [1, 2, 3].map((number) => gate.pass('a', signal, async () => told.push(number)));
  await settled();
  expect(told).toEqual([]);
  first.resolve();
  await expect(failing).rejects.toThrow('failed');
  await Promise.all(others);
  expect(told).toEqual([1, 2, 3]);
});

test('refuses who has waited in vain, is aborted or is one too many of its party, who then takes nobody’s place', async () => {
  const gate = open({ waitMs: 20, waitingMax: 1 });
  const { begin, end } = visits(gate);
  const inside = begin('a', 1);
  const abort = new AbortController();
  const aborted = begin('a', 2, abort.signal);
  await expect(begin('a', 3)).rejects.toThrow('full');
  abort.abort(new Error('enough'));
  await expect(aborted).rejects.toThrow('enough');
  await expect(begin('a', 4)).rejects.toThrow('full');
  await end(1);
  await inside;
  expect(await gate.pass('a', signal, async () => 'in')).toBe('in');
});

test('the first of a party that has nobody inside goes before all of another’s long row', async () => {
  const { entered, begin, end } = visits(open({ places: 2 }));
  for (const number of [1, 2, 3, 4, 5, 6]) void begin('many', number);
  void begin('one', 7);
  await end(1);
  await end(2);
  await end(7);
  expect(entered.map(({ number }) => number)).toEqual([1, 2, 7, 3, 4]);
});

/** What a gate is told: who comes, which of those inside leaves, which of those waiting gives up. */
type Step = { come: string } | { leave: number } | { giveUp: number };
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ come: fc.constantFrom('a', 'b', 'c') }) },
    { weight: 2, arbitrary: fc.record({ leave: fc.nat(9) }) },
    { weight: 1, arbitrary: fc.record({ giveUp: fc.nat(9) }) },
  ),
  { minLength: 20, maxLength: 60, size: 'max' },
);

/** Follows a gate's words and tells what is wrong with them. */
class Umpire {
  readonly wrongs: string[] = [];
  readonly waiting: { party: string; number: number; abort: AbortController }[] = [];
  /** Of one that waits at the head of its party's row: which parties went first although they had no fewer inside. */
  readonly #gone = new Map<number, string[]>();
  readonly #inside = new Map<string, number>();

  count(party: string, by: number): void {
    this.#inside.set(party, this.#insideOf(party) + by);
  }

  entered({ party, number }: { party: string; number: number }): void {
    const at = this.waiting.findIndex((other) => other.number === number);
    const heads = this.waiting.filter((one) => this.waiting.find(({ party: own }) => own === one.party) === one);
    if (at >= 0 && !heads.some((head) => head.number === number)) this.wrongs.push(`${number} overtook its own party`);
    for (const head of at < 0 ? [] : heads) {
      if (head.party === party || this.#insideOf(head.party) > this.#insideOf(party)) continue;
      const gone = this.#gone.get(head.number) ?? [];
      if (gone.includes(party)) this.wrongs.push(`${party} went before ${head.number} twice`);
      this.#gone.set(head.number, [...gone, party]);
    }
    if (at >= 0) this.waiting.splice(at, 1);
    this.count(party, 1);
  }

  #insideOf(party: string): number {
    return this.#inside.get(party) ?? 0;
  }
}

async function play(places: number, script: Step[]): Promise<string[]> {
  const { entered, inside, begin, end } = visits(open({ places }));
  const umpire = new Umpire();
  const { waiting, wrongs } = umpire;
  const partyOf = new Map<number, string>();
  let seen = 0;
  for (const [number, step] of script.entries()) {
    if ('come' in step) {
      const abort = new AbortController();
      partyOf.set(number, step.come);
      if (inside.size === places) waiting.push({ party: step.come, number, abort });
      begin(step.come, number, abort.signal).catch(() => undefined); // gave up
    } else if ('giveUp' in step) {
      waiting.splice(step.giveUp, 1)[0]?.abort.abort(new Error('enough'));
    } else if (inside.size > 0) {
      const leaving = [...inside.keys()][step.leave % inside.size] ?? 0;
      umpire.count(partyOf.get(leaving) ?? '', -1);
      await end(leaving);
    }
    await settled();
    for (const entry of entered.slice(seen)) umpire.entered(entry);
    seen = entered.length;
    if (inside.size > places) wrongs.push(`${inside.size} are inside`);
    if (waiting.length > 0 && inside.size < places) wrongs.push('a place is idle');
  }
  return wrongs;
}

test('whatever comes, leaves and gives up: no place is idle or given twice, and no party goes before another again and again', async () => {
  const property = fc.asyncProperty(fc.integer({ min: 1, max: 3 }), steps, async (places, script) => {
    expect(await play(places, script)).toEqual([]);
  });
  await fc.assert(property, { numRuns: 150 });
});
