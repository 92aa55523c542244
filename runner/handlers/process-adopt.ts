import { monotonicMs } from '../clock.ts';
import type { ContainerEngine } from '../engine/port.ts';
import type { Journal } from '../journal.ts';
import { RunningProcess } from '../sandboxes/running-process.ts';
import type { Home, Sandbox } from '../sandboxes/sandbox.ts';
import type { SandboxTable } from '../sandboxes/table.ts';
import { surroundingsOf } from './process-start.ts';

interface AdoptionContext {
  journal: Journal;
  engine: ContainerEngine;
  sandboxes: SandboxTable;
}

/** The processes that an earlier life promised to end at a moment: their deadlines are the host's to keep again. */
export function adoptProcesses(context: AdoptionContext, sandbox: Sandbox & { home: Home }): void {
  const { journal } = context;
  for (const { processId, deadlineMonotonicMs } of journal.processes(sandbox.id)) {
    const timeoutMs = Math.max(0, deadlineMonotonicMs - monotonicMs());
    const running = new RunningProcess(
      { processId, timeoutMs },
      {
        ...surroundingsOf(context, sandbox),
        onExit: () => {
          sandbox.processes.delete(processId);
          journal.forgetProcess(sandbox.id, processId);
        },
        onLeave: () => undefined,
      },
    );
    sandbox.processes.set(processId, running);
    running.rejoin();
  }
}

/** The same for those that came with a snapshot's memory. */
export function inheritProcesses(
  context: AdoptionContext,
  sandbox: Sandbox & { home: Home },
  processes: readonly { processId: string; timeoutMs: number }[],
): void {
  for (const { processId, timeoutMs } of processes) {
    context.journal.saveProcess(sandbox.id, { processId, deadlineMonotonicMs: monotonicMs() + timeoutMs });
  }
  adoptProcesses(context, sandbox);
}

/** What is left of the time of those that have a deadline: it goes with a snapshot's memory. */
export const promisedProcesses = (journal: Journal, sandboxId: string): { processId: string; timeoutMs: number }[] =>
  journal.processes(sandboxId).map(({ processId, deadlineMonotonicMs }) => ({
    processId,
    timeoutMs: Math.max(0, deadlineMonotonicMs - monotonicMs()),
  }));
