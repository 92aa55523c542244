import { within } from '../clock.ts';
import { RunnerError } from '../protocol/errors.ts';
import { AGENT_ANSWER_MS, RunningProcess } from '../sandboxes/running-process.ts';
import type { LiveSandbox } from '../sandboxes/sandbox.ts';
import type { ExecHandler, HandlerContext } from './handler.ts';
import { agentSilent, surroundingsOf } from './process-start.ts';

/** Also of one that an earlier life of this runner started, and of one that has ended within endedProcessTtlMs. */
export const attachProcess: ExecHandler<'process.attach'> = async (context, job, sandbox, conversation) => {
  const { session } = sandbox.home;
  const running = sandbox.processes.get(job.processId) ?? enterFound(context, sandbox, job.processId);
  const pid = running.pid ?? (await findPid(sandbox, job.processId));
  if (pid === undefined) {
    running.abandon();
    throw new RunnerError('process_not_found', 'There is no such process in the sandbox.');
  }
  running.started(pid);
  const reader = running.reader(conversation, job.attach);
  try {
    const handle = await within(session.attach(job.processId, job.attach, reader), AGENT_ANSWER_MS, agentSilent);
    reader.begin(job.processId, pid, handle);
  } catch (error) {
    running.left(reader);
    throw error;
  }
};

export const listProcesses: ExecHandler<'process.list'> = async (_context, _job, sandbox, conversation) => {
  const processes = await within(sandbox.home.session.list(), AGENT_ANSWER_MS, agentSilent);
  conversation.send({ t: 'result', value: { processes } });
  conversation.finish();
};

/** Its deadline, if it has one, is the agent's to keep: adoption knew of none. */
function enterFound(context: HandlerContext, sandbox: LiveSandbox, processId: string): RunningProcess {
  const running = new RunningProcess(processId, undefined, {
    ...surroundingsOf(context, sandbox),
    onExit: () => sandbox.processes.delete(processId),
    onLeave: () => undefined,
  });
  sandbox.processes.set(processId, running);
  return running;
}

async function findPid(sandbox: LiveSandbox, processId: string): Promise<number | undefined> {
  const processes = await within(sandbox.home.session.list(), AGENT_ANSWER_MS, agentSilent);
  return processes.find((process) => process.processId === processId)?.pid;
}
