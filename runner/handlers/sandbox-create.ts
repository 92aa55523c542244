import { monotonicMs } from '../clock.ts';
import { variablesOf } from '../journal.ts';
import { DEFAULT_CWD } from '../sandboxes/containers.ts';
import { beginDeadline } from '../sandboxes/deadline.ts';
import { isLive, type Home, type Sandbox } from '../sandboxes/sandbox.ts';
import { expiresAtMs } from '../sandboxes/table.ts';
import type { LifecycleHandler, LifecycleWork } from './handler.ts';

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
    const obtained = await containers.obtain(job.spec, signal);
    home = homeOf(obtained.container);
    signal.throwIfAborted();
    sandboxes.settle(sandbox, home);
    const environment = { image: obtained.container.imageEnv, own: job.spec.env };
    context.journal.saveEnvironment(sandbox.id, environment);
    await home.session.configure({ env: variablesOf(environment), cwd: DEFAULT_CWD });
    signal.throwIfAborted();
    sandbox.state = 'running';
    sandboxes.setDeadline(sandbox, beginDeadline(job.spec, monotonicMs()));
    return { state: 'running', expiresAtMs: expiresAtMs(sandbox), warm: obtained.warm };
  } catch (error) {
    if (home) await containers.discard(home);
    // Overtaken by a kill, the entry is the kill's tombstone and stays.
    if (sandbox.revision === job.revision) sandboxes.drop(sandbox);
    throw error;
  }
};

const homeOf = ({ containerId, slot, session }: Home): Home => ({ containerId, slot, session });

function newSandbox(job: LifecycleWork<'sandbox.create'>): Sandbox {
  return {
    id: job.sandboxId,
    tenantId: job.tenantId,
    epoch: job.epoch,
    revision: job.revision,
    state: 'creating',
    rest: undefined,
    changing: false,
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
    processes: new Map(),
    openCalls: 0,
    watches: 0,
    oomAtMs: -Infinity,
    oomKills: 0,
    silentSinceMs: undefined,
  };
}
