import { within } from '../clock.ts';
import { RunnerError } from '../protocol/errors.ts';
import { chooseProcess, isMeant } from '../protocol/process-selector.ts';
import type { ProcessInfo, ProcessSelector } from '../protocol/process.ts';
import { AGENT_ANSWER_MS, type RunningProcess } from '../sandboxes/running-process.ts';
import type { LiveSandbox } from '../sandboxes/sandbox.ts';
import { agentSilent } from './process-start.ts';

/** In the runner's own table: all that this life of it started, as long as they run. */
export function runningIn(sandbox: LiveSandbox, selector: ProcessSelector): RunningProcess | undefined {
  if ('processId' in selector) return sandbox.processes.get(selector.processId);
  let youngest: RunningProcess | undefined;
  for (const running of sandbox.processes.values()) if (isMeant(running, selector)) youngest = running;
  return youngest;
}

/** One that runs, also of those that an earlier life of the runner started. Throws process_not_found. */
export async function findRunning(sandbox: LiveSandbox, selector: ProcessSelector): Promise<ProcessInfo> {
  const found = await ask(sandbox, selector);
  if (found.exit !== null) throw notFound();
  return found;
}

/** One that runs, or else the one that ended last of those that the agent still knows. Throws process_not_found. */
export async function findProcess(
  sandbox: LiveSandbox,
  selector: ProcessSelector,
): Promise<{ processId: string; pid: number; tag?: string | undefined }> {
  const running = runningIn(sandbox, selector);
  if (running?.pid === undefined) return ask(sandbox, selector);
  return { processId: running.processId, pid: running.pid, tag: running.tag };
}

async function ask(sandbox: LiveSandbox, selector: ProcessSelector): Promise<ProcessInfo> {
  const processes = await within(sandbox.home.session.list(), AGENT_ANSWER_MS, agentSilent);
  const found = chooseProcess(processes, selector);
  if (found === undefined) throw notFound();
  return found;
}

const notFound = (): RunnerError =>
  new RunnerError(
    'process_not_found',
    'There is no such process in the sandbox, or it ended more than 30 seconds ago.',
  );
