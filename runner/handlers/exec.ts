import { RunnerError } from '../protocol/errors.ts';
import type { ExecJobName, JobData } from '../protocol/jobs.ts';
import { callFile } from './file-call.ts';
import { readFile } from './file-read.ts';
import { watchFiles } from './file-watch.ts';
import { writeFile } from './file-write.ts';
import { faultOf, type ExecHandler, type HandlerContext } from './handler.ts';
import { attachProcess, listProcesses } from './process-attach.ts';
import { startProcess } from './process-start.ts';
import { readMetrics } from './sandbox-metrics.ts';

const handlers: { [N in ExecJobName]: ExecHandler<N> } = {
  'process.start': startProcess,
  'process.attach': attachProcess,
  'process.list': listProcesses,
  'file.call': callFile,
  'file.read': readFile,
  'file.write': writeFile,
  'file.watch': watchFiles,
  'sandbox.metrics': readMetrics,
};

/** Looking on is no activity: it doesn't keep an idle-mode sandbox alive. */
const passive: ReadonlySet<ExecJobName> = new Set(['process.list', 'sandbox.metrics', 'process.attach']);
/** Held open by their bytes: while they last, the sandbox is active. */
const lasting: ReadonlySet<ExecJobName> = new Set(['file.read', 'file.write', 'file.call']);

/**
 * Fences the job, says `accepted`, and hands it over. Returns at once: the delivery is over, the execution goes on.
 *
 * `accepted` is on the wire before anything is asked of the agent: once a command may have run, the edge knows it may.
 */
export function handleExec<N extends ExecJobName>(context: HandlerContext, name: N, job: JobData<N>): void {
  const conversation = context.conversations.open(job.reply);
  const fail = (error: unknown) =>
    conversation.fail(faultOf(error, context.log, { requestId: job.requestId, job: name }));
  try {
    if (context.conversations.full) throw new RunnerError('capacity_exhausted', 'The node has too many open calls.');
    if (context.redisNowMs() > job.startByMs) {
      throw new RunnerError('not_started', 'The node got to this too late; it was not started.');
    }
    const sandbox = context.sandboxes.getLive(job.sandboxId, job.epoch);
    conversation.send({ t: 'accepted' });
    conversation.flush();
    if (!passive.has(name)) context.sandboxes.touch(sandbox);
    if (lasting.has(name)) sandbox.openCalls++;
    handlers[name](context, job, sandbox, conversation)
      .catch(fail)
      .finally(() => {
        if (!lasting.has(name)) return;
        sandbox.openCalls--;
        context.sandboxes.touch(sandbox);
      });
  } catch (error) {
    fail(error);
  }
}
