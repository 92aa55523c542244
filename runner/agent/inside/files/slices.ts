import type { Identity } from '../identity.ts';
import { asIdentity } from '../identity.ts';

/** How long a file operation may keep the agent from everything else. */
const sliceMs = 5;

/** An operation written as a synchronous generator that yields where it may be interrupted. */
export type Steps<T> = Generator<void, T>;

/** Runs `steps` as `identity`, letting output, signals and other requests through between slices. */
export async function runAs<T>(identity: Identity, steps: Steps<T>): Promise<T> {
  for (;;) {
    const result = asIdentity(identity, () => {
      const until = performance.now() + sliceMs;
      let step = steps.next();
      while (step.done !== true && performance.now() < until) step = steps.next();
      return step;
    });
    if (result.done === true) return result.value;
    await nextTurn();
  }
}

export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
