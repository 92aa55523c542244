import type { RecordedOutcome } from '../journal.ts';
import { RunnerError } from '../protocol/errors.ts';
import type { JobData, LifecycleJobName } from '../protocol/jobs.ts';
import { limits } from '../protocol/limits.ts';
import { fenceLifecycle, type LifecycleKind } from '../sandboxes/fence.ts';
import type { Lanes } from '../sandboxes/lanes.ts';
import { faultOf, type HandlerContext, type LifecycleHandler, type LifecycleWork } from './handler.ts';
import { createSandbox } from './sandbox-create.ts';
import { changeSandboxDeadline } from './sandbox-deadline.ts';
import { announceKill, killSandbox } from './sandbox-kill.ts';
import { changeSandboxNetwork } from './sandbox-network.ts';
import { pauseSandbox, resumeSandbox } from './sandbox-pause.ts';
import { snapshotSandbox } from './sandbox-snapshot.ts';

const handlers: { [N in LifecycleJobName]: LifecycleHandler<N> } = {
  'sandbox.create': createSandbox,
  'sandbox.kill': killSandbox,
  'sandbox.pause': pauseSandbox,
  'sandbox.resume': resumeSandbox,
  'sandbox.snapshot': snapshotSandbox,
  'sandbox.deadline': changeSandboxDeadline,
  'sandbox.network': changeSandboxNetwork,
};

const kinds: Record<LifecycleJobName, LifecycleKind> = {
  'sandbox.create': 'create',
  'sandbox.kill': 'kill',
  'sandbox.pause': 'change',
  'sandbox.resume': 'change',
  'sandbox.snapshot': 'change',
  'sandbox.deadline': 'change',
  'sandbox.network': 'change',
};

/** Resolves when the job is done and answered, well or badly: whatever happened, it is not to be delivered again. */
export async function handleLifecycle<N extends LifecycleJobName>(
  context: HandlerContext,
  lanes: Lanes,
  name: N,
  job: JobData<N>,
): Promise<void> {
  const conversation = context.conversations.open(job.reply);
  conversation.send({ t: 'accepted' });
  const outcome = await settle(context, lanes, name, job);
  if (outcome.ok) conversation.send({ t: 'result', value: outcome.value });
  else conversation.fail(outcome.fault);
  conversation.finish();
}

/** The control plane's heartbeat answer asks for it: the state of record says that this one should not be here. */
export async function killByDirective(
  context: HandlerContext,
  lanes: Lanes,
  directive: { sandboxId: string; epoch: number; revision: number },
): Promise<void> {
  const known = context.sandboxes.find(directive.sandboxId);
  if (!known || known.epoch !== directive.epoch || known.state === 'ended') return;
  const revision = Math.max(directive.revision, known.revision);
  const job = { ...directive, revision, tenantId: known.tenantId, requestId: 'heartbeat', graceMs: 0 };
  await settle(context, lanes, 'sandbox.kill', job);
}

async function settle<N extends LifecycleJobName>(
  context: HandlerContext,
  lanes: Lanes,
  name: N,
  job: LifecycleWork<N>,
): Promise<RecordedOutcome> {
  try {
    const recorded = fence(context, name, job);
    if (recorded) return recorded;
    const kill = kinds[name] === 'kill';
    if (kill) announceKill(context.sandboxes, job);
    const limitMs = name === 'sandbox.snapshot' ? limits.snapshotJobMs : limits.lifecycleJobMs;
    const turn = { key: `${job.epoch}.${job.revision}`, kill, limitMs };
    return await lanes.run(job.sandboxId, turn, (signal) => take(context, name, job, signal));
  } catch (error) {
    return { ok: false, fault: faultOf(error, context.log, { requestId: job.requestId, job: name }) };
  }
}

/** In its turn. What came before it may have changed everything, so it is fenced again. */
async function take<N extends LifecycleJobName>(
  context: HandlerContext,
  name: N,
  job: LifecycleWork<N>,
  signal: AbortSignal,
): Promise<RecordedOutcome> {
  const kind = kinds[name];
  if (kind !== 'kill') {
    const recorded = fence(context, name, job);
    if (recorded) return recorded;
  }
  const known = context.sandboxes.find(job.sandboxId);
  if (kind === 'change' && known) {
    known.revision = job.revision; // saved with the change itself
    known.changing = true;
  }
  const outcome = await run(context, name, job, signal);
  if (known) known.changing = false;
  // A failed change or kill is tried anew when it is dispatched again; a failed create has left nothing to try it on.
  if (outcome.ok || kind === 'create') {
    context.journal.recordOutcome(job.sandboxId, job.epoch, job.revision, outcome);
  }
  return outcome;
}

async function run<N extends LifecycleJobName>(
  context: HandlerContext,
  name: N,
  job: LifecycleWork<N>,
  signal: AbortSignal,
): Promise<RecordedOutcome> {
  try {
    return { ok: true, value: await handlers[name](context, job, signal) };
  } catch (error) {
    return { ok: false, fault: faultOf(error, context.log, { requestId: job.requestId, job: name }) };
  }
}

/** Throws what refuses the job; returns what was answered to it before. */
function fence(
  context: HandlerContext,
  name: LifecycleJobName,
  job: { sandboxId: string; epoch: number; revision: number },
): RecordedOutcome | undefined {
  const recorded = context.journal.outcome(job.sandboxId, job.epoch, job.revision);
  if (recorded) return recorded;
  const known = context.sandboxes.find(job.sandboxId);
  const view = known && { epoch: known.epoch, revision: known.revision, ended: known.state === 'ended' };
  const verdict = fenceLifecycle(view, { kind: kinds[name], epoch: job.epoch, revision: job.revision });
  switch (verdict) {
    case 'proceed':
    case 'replace':
    case 'repeat':
      return undefined;
    case 'stale_revision':
      throw new RunnerError('stale_revision', 'A later change of the sandbox has overtaken this.');
    case 'sandbox_not_found':
      throw new RunnerError('sandbox_not_found', 'The sandbox is not on this node.');
    default:
      return verdict satisfies never;
  }
}
