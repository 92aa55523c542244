import type { ProcessInfo } from '../../../runner/protocol/process.ts';
import { ServiceError } from '../errors.ts';
import type { Context, SandboxRef } from '../ports.ts';

export const getProcess = async (ctx: Context, ref: SandboxRef, processId: string): Promise<ProcessInfo> => {
  const processes = await ctx.broker.processes(ref);
  const found = processes.find((process) => process.processId === processId);
  if (found === undefined) {
    throw new ServiceError(
      'process_not_found',
      'There is no such process in this sandbox, or it ended more than 30 seconds ago.',
    );
  }
  return found;
};
