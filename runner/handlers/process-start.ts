import { monotonicMs, within } from '../clock.ts';
import type { ContainerEngine } from '../engine/port.ts';
import { RunnerError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import type { ProcessExit, ProcessSpec } from '../protocol/process.ts';
import { commandText } from '../sandboxes/history.ts';
import { KeptDeadline } from '../sandboxes/kept-deadline.ts';
import { AGENT_ANSWER_MS, RunningProcess } from '../sandboxes/running-process.ts';
import { sawOom, type Home, type LiveSandbox, type Sandbox } from '../sandboxes/sandbox.ts';
import type { ExecHandler, HandlerContext } from './handler.ts';

export const startProcess: ExecHandler<'process.start'> = async (context, job, sandbox, conversation) => {
  const { spec, attach } = job;
  if (sandbox.processes.has(spec.processId)) {
    throw new RunnerError('process_exists', 'A process with this id has been started already.');
  }
  if (sandbox.processes.size >= limits.processesPerSandbox) {
    throw new RunnerError('too_many_processes', `A sandbox runs at most ${limits.processesPerSandbox} processes.`);
  }
  const running = enterProcess(context, sandbox, spec);
  const reader = attach ? running.reader(conversation, attach) : undefined;
  const { session } = sandbox.home;
  const starting = session.start(spec, attach && reader ? { attach, sink: reader } : running.watcher());
  let started: Awaited<typeof starting>;
  try {
    started = await within(starting, AGENT_ANSWER_MS, agentSilent);
  } catch (error) {
    // Should it start, or wait in its session, after all: its caller has been told that it can't be counted on.
    const kill = () => session.signal(spec.processId, 'SIGKILL');
    if (isSilence(error)) starting.then(kill, kill).catch(() => undefined);
    running.abandon(reader, error instanceof RunnerError ? error : agentSilent());
    throw error;
  }
  running.started(started.pid);
  if (reader) return reader.begin(spec.processId, started.pid, started.reader);
  conversation.send({ t: 'started', processId: spec.processId, pid: started.pid });
  conversation.finish();
};

const isSilence = (error: unknown) => error instanceof RunnerError && error.code === 'agent_unavailable';
export const agentSilent = () => new RunnerError('agent_unavailable', 'The sandbox does not answer.');

/** Puts a process into the sandbox's table, from which its end takes it out. */
function enterProcess(context: HandlerContext, sandbox: LiveSandbox, spec: ProcessSpec): RunningProcess {
  const command = commandText(spec.command);
  const startedAtMs = Date.now();
  const { timeoutMs } = spec;
  const kept =
    timeoutMs === undefined ? undefined : new KeptDeadline(context.journal, sandbox.id, spec.processId, timeoutMs);
  const running = new RunningProcess(spec, {
    ...surroundingsOf(context, sandbox),
    onExit: (exit) => {
      sandbox.processes.delete(spec.processId);
      kept?.forget();
      if (running.pid !== undefined)
        context.history.add(sandbox.id, record(spec.processId, command, startedAtMs, exit));
    },
    onLeave: () => kept?.keep(),
  });
  sandbox.processes.set(spec.processId, running);
  return running;
}

export function surroundingsOf(
  { sandboxes, engine }: Pick<HandlerContext, 'sandboxes' | 'engine'>,
  sandbox: Sandbox & { home: Home },
) {
  const { session, containerId } = sandbox.home;
  return {
    session,
    atRest: () => sandbox.state !== 'running' || sandbox.changing,
    endReason: () => sandbox.endReason,
    oomKilled: () => findOom(engine, sandbox, containerId),
    onUntold: (running: RunningProcess, untold: boolean) => {
      if (untold) sandbox.endedUntold.add(running);
      else sandbox.endedUntold.delete(running);
    },
    onForeground: (change: 1 | -1) => {
      sandbox.openCalls += change;
      sandboxes.touch(sandbox);
    },
  };
}

/** A count that has grown, or grew a moment ago: one kill for memory often ends several processes. */
async function findOom(engine: ContainerEngine, sandbox: Sandbox, containerId: string): Promise<boolean> {
  const kills = await engine.oomKills(containerId).catch(() => sandbox.oomKills); // the container is gone: said elsewhere
  if (kills > sandbox.oomKills) sandbox.oomAtMs = monotonicMs();
  sandbox.oomKills = kills;
  return sawOom(sandbox);
}

function record(processId: string, command: string, startedAtMs: number, exit: ProcessExit) {
  const { durationMs, exitCode, signal, reason } = exit;
  return { processId, command, startedAtMs, durationMs, exitCode, signal, reason };
}
