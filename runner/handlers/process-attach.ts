import { within } from '../clock.ts';
import { AGENT_ANSWER_MS, RunningProcess } from '../sandboxes/running-process.ts';
import type { LiveSandbox } from '../sandboxes/sandbox.ts';
import { findProcess } from './find-process.ts';
import type { ExecHandler, HandlerContext } from './handler.ts';
import { agentSilent, surroundingsOf } from './process-start.ts';

/** Also of one that an earlier life of this runner started, and of one that has ended within endedProcessTtlMs. */
export const attachProcess: ExecHandler<'process.attach'> = async (context, job, sandbox, conversation) => {
  const { session } = sandbox.home;
  const found = await findProcess(sandbox, job.process);
  const { processId, pid } = found;
  const running = sandbox.processes.get(processId) ?? enterFound(context, sandbox, found);
  const reader = running.reader(conversation, job.attach);
  running.started(pid);
  const attaching = session.attach(processId, job.attach, reader);
  try {
    const handle = await within(attaching, AGENT_ANSWER_MS, agentSilent);
    reader.begin(processId, pid, handle, job.attach.fromOffset === 'end' ? handle.offset : undefined);
  } catch (error) {
    attaching.then(
      (late) => late.detach(),
      () => undefined, // the error that is thrown here
    );
    running.left(reader);
    throw error;
  }
};

export const listProcesses: ExecHandler<'process.list'> = async (_context, { details }, sandbox, conversation) => {
  const processes = await within(sandbox.home.session.list(details), AGENT_ANSWER_MS, agentSilent);
  conversation.send({ t: 'result', value: { processes } });
  conversation.finish();
};

/** Its deadline, if it has one, is the agent's to keep: adoption knew of none. */
function enterFound(
  context: HandlerContext,
  sandbox: LiveSandbox,
  { processId, tag }: { processId: string; tag?: string | undefined },
): RunningProcess {
  const running = new RunningProcess(
    { processId, tag },
    {
      ...surroundingsOf(context, sandbox),
      onExit: () => sandbox.processes.delete(processId),
      onLeave: () => undefined,
    },
  );
  sandbox.processes.set(processId, running);
  return running;
}
