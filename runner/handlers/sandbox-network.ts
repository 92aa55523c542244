import { expiresAtMs } from '../sandboxes/table.ts';
import type { LifecycleHandler } from './handler.ts';
import { getSteady } from './sandbox-pause.ts';

/** Journaled once in force: a crash in between leaves the job to be delivered again, and its caller without an answer. */
export const changeSandboxNetwork: LifecycleHandler<'sandbox.network'> = async ({ sandboxes, engine }, job) => {
  const { sandbox, home } = getSteady(sandboxes, job.sandboxId);
  await engine.setEgress(home.containerId, job.egress);
  sandbox.egress = job.egress;
  sandboxes.save(sandbox);
  return { state: sandbox.state === 'paused' ? 'paused' : 'running', expiresAtMs: expiresAtMs(sandbox) };
};
