import type { ProcessSpec } from '../../protocol/process.ts';
import { AgentFault } from './fault.ts';
import { ProcessTable } from './processes.ts';
import type { Outlet } from './reader.ts';

/** Measured: the first command of a container took 26 ms, the fourth 12; what comes after gains nothing more. */
const rounds = 3;
const deadlineMs = 1_000;

/**
 * Runs a command a few times, as the first user of the sandbox would, so that the agent's own code is compiled and the shell's pages are
 * mapped while the container waits in the pool. It uses a process table of its own: no list and no history shows it.
 */
export async function warmUp(user: string): Promise<void> {
  const processes = new ProcessTable();
  try {
    for (let round = 0; round < rounds; round += 1) await rehearse(processes, user);
  } catch (error) {
    // An image without that user, its home or a shell has nothing to rehearse; whoever runs something there is told.
    if (!(error instanceof AgentFault)) throw error;
  }
}

function rehearse(processes: ProcessTable, user: string): Promise<void> {
  return new Promise((resolve) => {
    const outlet: Outlet = {
      congested: false,
      frame: () => undefined,
      event: (event) => {
        if (event.event === 'exit') resolve();
      },
    };
    const attach = { fromOffset: 0, creditBytes: 1024, foreground: true, output: true };
    processes.start(rehearsal(user), { id: 1, attach }, outlet);
  });
}

const rehearsal = (user: string): ProcessSpec => ({
  processId: crypto.randomUUID().replaceAll('-', ''),
  command: { kind: 'shell', script: 'echo; true', login: false },
  env: {},
  user,
  stdin: 'null',
  stdinEnds: true,
  timeoutMs: deadlineMs,
  outputLimitBytes: 1024,
});
