import type { Fleet } from '../core/ports.ts';
import { ServiceError } from '../core/errors.ts';
import type { Fleet as FleetObject } from '../durable/fleet.ts';
import type { Env, Settings } from '../env.ts';

/** The cell's one Fleet. A stub belongs to the request that it serves. */
export const fleetStub = (env: Env): DurableObjectStub<FleetObject> => env.FLEET.get(env.FLEET.idFromName('fleet'));

/** All of it may be done twice, so a Fleet that broke off (deploy, eviction) is asked once more. */
const askFleet = async <T>(env: Env, question: (fleet: DurableObjectStub<FleetObject>) => Promise<T>): Promise<T> => {
  try {
    return await question(fleetStub(env));
  } catch {
    // The second failure says why.
  }
  try {
    return await question(fleetStub(env));
  } catch (error) {
    throw new ServiceError('unavailable', 'The service is restarting. Try again.', {
      cause: error,
      retryAfterSeconds: 1,
    });
  }
};

/** core's view of the cell's runners. Holds nothing of a request: one serves the isolate. */
export const createFleet = (env: Env, _settings: Settings): Fleet => ({
  place: (sandboxId, request) => askFleet(env, (fleet) => fleet.place(sandboxId, request)),
  settled: (sandboxId) => askFleet(env, (fleet) => fleet.settled(sandboxId)),
  release: (sandboxId) => askFleet(env, (fleet) => fleet.release(sandboxId)),
  forgetTemplates: () => askFleet(env, (fleet) => fleet.forgetTemplates()),
  summary: () => askFleet(env, (fleet) => fleet.summary()),
  runners: () => askFleet(env, (fleet) => fleet.runners()),
});

/** Cron's part: a Fleet that lost its alarm sets it again. */
export const pokeFleet = (env: Env, _settings: Settings): Promise<void> => askFleet(env, (fleet) => fleet.poke());
