import { monotonicMs } from '../clock.ts';
import { variablesOf } from '../journal.ts';
import { DEFAULT_CWD } from '../sandboxes/containers.ts';
import { beginDeadline } from '../sandboxes/deadline.ts';
import { isLive, nothingUnderWay, type Home, type Sandbox } from '../sandboxes/sandbox.ts';
import { expiresAtMs } from '../sandboxes/table.ts';
import type { HandlerContext, LifecycleHandler, LifecycleWork } from './handler.ts';
import { inheritProcesses } from './process-adopt.ts';

export const createSandbox: LifecycleHandler<'sandbox.create'> = (context, job, signal) =>
  context.containers.create(() => create(context, job, signal));

const create: LifecycleHandler<'sandbox.create'> = async (context, job, signal) => {
  const { sandboxes, containers, capacity } = context;
  const earlier = sandboxes.find(job.sandboxId);
  // A repeat after a crash that came between the sandbox's start and the record of its outcome.
  if (earlier && earlier.epoch === job.epoch && isLive(earlier)) {
    return { state: 'running', expiresAtMs: expiresAtMs(earlier) };
  }
  if (earlier) await sandboxes.end(earlier, 'evicted');
  capacity.check(sandboxes.held);

  const sandbox = newSandbox(job);
  sandboxes.put(sandbox);
  let home: Home | undefined;
  try {
    const { container, warm, inherited, memoryKept, processes } = await obtain(context, job, signal);
    home = homeOf(container);
    signal.throwIfAborted();
    sandboxes.settle(sandbox, home);
    const environment = { image: container.imageEnv, own: { ...inherited, ...job.spec.env } };
    context.journal.saveEnvironment(sandbox.id, environment);
    await home.session.configure({ env: variablesOf(environment), cwd: DEFAULT_CWD });
    signal.throwIfAborted();
    sandbox.state = 'running';
    sandboxes.setDeadline(sandbox, beginDeadline(job.spec, monotonicMs()));
    if (memoryKept) inheritProcesses(context, Object.assign(sandbox, { home }), processes);
    return { state: 'running', expiresAtMs: expiresAtMs(sandbox), warm, memoryKept };
  } catch (error) {
    if (home) await containers.discard(home);
    // Overtaken by a kill, the entry is the kill's tombstone and stays.
    if (sandbox.revision === job.revision) sandboxes.drop(sandbox);
    throw error;
  }
};

/** A container of the template, or one that begins with what a snapshot holds and, where that passes it on, its environment. */
async function obtain(
  context: HandlerContext,
  { spec, tenantId }: LifecycleWork<'sandbox.create'>,
  signal: AbortSignal,
) {
  const { containers, snapshots } = context;
  if (!spec.snapshot) return { ...(await containers.obtain(spec, signal)), inherited: {}, processes: [] };
  return await snapshots.boot(
    spec.snapshot,
    { tenantId, signal },
    async ({ environment, filesystem, memory, processes }) => {
      const beginning = { filesystem, memory: context.checkpointing.frees ? memory : undefined };
      return { ...(await containers.obtain(spec, signal, beginning)), inherited: environment, processes };
    },
  );
}

const homeOf = ({ containerId, slot, session }: Home): Home => ({ containerId, slot, session });

function newSandbox(job: LifecycleWork<'sandbox.create'>): Sandbox {
  return {
    id: job.sandboxId,
    tenantId: job.tenantId,
    epoch: job.epoch,
    revision: job.revision,
    state: 'creating',
    rest: undefined,
    cpus: job.spec.cpus,
    memoryMiB: job.spec.memoryMiB,
    egress: job.spec.egress,
    home: undefined,
    deadline: beginDeadline(job.spec, monotonicMs()),
    onTimeout: job.spec.onTimeout,
    keepMemory: job.spec.keepMemory,
    endReason: undefined,
    endedAtMs: undefined,
    recorded: false,
    ...nothingUnderWay(),
  };
}
