import { within } from '../clock.ts';
import { RunnerError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import type { ProcessExit, ProcessSpec } from '../protocol/process.ts';
import { commandText, type History } from '../sandboxes/history.ts';
import { AGENT_ANSWER_MS, RunningProcess } from '../sandboxes/running-process.ts';
import { sawOom, type LiveSandbox } from '../sandboxes/sandbox.ts';
import type { SandboxTable } from '../sandboxes/table.ts';
import type { ExecHandler } from './handler.ts';

export const startProcess: ExecHandler<'process.start'> = async (context, job, sandbox, conversation) => {
  const { spec, attach } = job;
  if (sandbox.processes.has(spec.processId)) {
    throw new RunnerError('process_exists', 'A process with this id has been started already.');
  }
  if (sandbox.processes.size >= limits.processesPerSandbox) {
    throw new RunnerError('too_many_processes', `A sandbox runs at most ${limits.processesPerSandbox} processes.`);
  }
  const running = enterProcess(context.sandboxes, context.history, sandbox, spec);
  const reader = attach ? running.reader(conversation, attach) : undefined;
  const { session } = sandbox.home;
  const starting = session.start(spec, attach && reader ? { attach, sink: reader } : running.watcher());
  let started: Awaited<typeof starting>;
  try {
    started = await within(starting, AGENT_ANSWER_MS, agentSilent);
  } catch (error) {
    // Should it start after all, its caller has been told that it can't be counted on.
    starting.then(() => session.signal(spec.processId, 'SIGKILL')).catch(() => undefined);
    running.abandon();
    throw error;
  }
  running.started(started.pid);
  if (reader) return reader.begin(spec.processId, started.pid, started.reader);
  conversation.send({ t: 'started', processId: spec.processId, pid: started.pid });
  conversation.finish();
};

export const agentSilent = () => new RunnerError('agent_unavailable', 'The sandbox does not answer.');

/** Puts a process into the sandbox's table, from which its end takes it out. */
function enterProcess(
  sandboxes: SandboxTable,
  history: History,
  sandbox: LiveSandbox,
  spec: ProcessSpec,
): RunningProcess {
  const command = commandText(spec.command);
  const startedAtMs = Date.now();
  const running = new RunningProcess(spec.processId, spec.timeoutMs, {
    ...surroundingsOf(sandboxes, sandbox),
    onExit: (exit) => {
      sandbox.processes.delete(spec.processId);
      if (running.pid !== undefined) history.add(sandbox.id, record(spec.processId, command, startedAtMs, exit));
    },
  });
  sandbox.processes.set(spec.processId, running);
  return running;
}

export function surroundingsOf(sandboxes: SandboxTable, sandbox: LiveSandbox) {
  return {
    session: sandbox.home.session,
    oomSeen: () => sawOom(sandbox),
    onForeground: (change: 1 | -1) => {
      sandbox.openCalls += change;
      sandboxes.touch(sandbox);
    },
  };
}

function record(processId: string, command: string, startedAtMs: number, exit: ProcessExit) {
  const { durationMs, exitCode, signal, reason } = exit;
  return { processId, command, startedAtMs, durationMs, exitCode, signal, reason };
}
