import { RunnerError } from '../protocol/errors.ts';
import type { ExecJobName, JobData, NodeJobName } from '../protocol/jobs.ts';
import { callFile } from './file-call.ts';
import { readFile } from './file-read.ts';
import { watchFiles } from './file-watch.ts';
import { writeFile } from './file-write.ts';
import type { Conversation } from '../channels/conversations.ts';
import { endedOr, faultOf, type ExecHandler, type HandlerContext, type NodeHandler } from './handler.ts';
import { requestPort } from './port-request.ts';
import { openSocket } from './port-socket.ts';
import { attachProcess, listProcesses } from './process-attach.ts';
import { startProcess } from './process-start.ts';
import { answerPing, readEnvironment } from './sandbox-facts.ts';
import { reportHistory } from './sandbox-history.ts';
import { dropSnapshot, uploadSnapshot } from './snapshot-upload.ts';
import { readMetrics } from './sandbox-metrics.ts';
import { readUsage } from './sandbox-usage.ts';

type JobHandler<N extends ExecJobName> = (
  context: HandlerContext,
  job: JobData<N>,
  conversation: Conversation,
) => Promise<void>;

/**
 * What a job means for an idle-mode sandbox. `passive`: looking on is no activity, it doesn't keep the sandbox alive. `lasting`: held
 * open by its bytes, and while they last, the sandbox is active.
 */
type Activity = 'active' | 'passive' | 'lasting';

/**
 * Fences the job, says `accepted`, and hands it over. `accepted` is on the wire before anything is asked of the agent: once a command may
 * have run, the edge knows it may.
 */
const inSandbox =
  <N extends Exclude<ExecJobName, NodeJobName>>(handler: ExecHandler<N>, activity: Activity): JobHandler<N> =>
  async (context, job, conversation) => {
    const sandbox = context.sandboxes.getLive(job.sandboxId, job.epoch);
    accept(conversation);
    if (activity !== 'passive') context.sandboxes.touch(sandbox);
    if (activity === 'lasting') sandbox.openCalls++;
    try {
      await handler(context, job, sandbox, conversation);
    } catch (error) {
      throw endedOr(sandbox, error);
    } finally {
      if (activity === 'lasting') {
        sandbox.openCalls--;
        context.sandboxes.touch(sandbox);
      }
    }
  };

const onNode =
  <N extends NodeJobName>(handler: NodeHandler<N>): JobHandler<N> =>
  async (context, job, conversation) => {
    accept(conversation);
    await handler(context, job, conversation);
  };

const accept = (conversation: Conversation): void => {
  conversation.send({ t: 'accepted' });
  conversation.flush();
};

const handlers: { [N in ExecJobName]: JobHandler<N> } = {
  'process.start': inSandbox(startProcess, 'active'),
  'process.attach': inSandbox(attachProcess, 'passive'),
  'process.list': inSandbox(listProcesses, 'passive'),
  'file.call': inSandbox(callFile, 'lasting'),
  'file.read': inSandbox(readFile, 'lasting'),
  'file.write': inSandbox(writeFile, 'lasting'),
  'file.watch': inSandbox(watchFiles, 'active'),
  'sandbox.ping': inSandbox(answerPing, 'passive'),
  'sandbox.environment': inSandbox(readEnvironment, 'passive'),
  'port.request': inSandbox(requestPort, 'lasting'),
  'port.socket': inSandbox(openSocket, 'lasting'),
  'sandbox.metrics': inSandbox(readMetrics, 'passive'),
  'sandbox.history': onNode(reportHistory),
  'sandbox.usage': onNode(readUsage),
  'snapshot.upload': onNode(uploadSnapshot),
  'snapshot.drop': onNode(dropSnapshot),
};

/** Returns at once: the delivery is over, the execution goes on. */
export function handleExec<N extends ExecJobName>(context: HandlerContext, name: N, job: JobData<N>): void {
  const conversation = context.conversations.open(job.reply);
  const fail = (error: unknown) =>
    conversation.fail(faultOf(error, context.log, { requestId: job.requestId, job: name }));
  try {
    if (context.conversations.full) throw new RunnerError('capacity_exhausted', 'The node has too many open calls.');
    if (context.redisNowMs() > job.startByMs) {
      throw new RunnerError('not_started', 'The node got to this too late; it was not started.');
    }
    handlers[name](context, job, conversation).catch(fail);
  } catch (error) {
    fail(error);
  }
}
