import { chooseProcess } from '../../../runner/protocol/process-selector.ts';
import type { ProcessInfo, ProcessSelector } from '../../../runner/protocol/process.ts';
import { ServiceError } from '../errors.ts';
import type { Context, SandboxRef } from '../ports.ts';

export const getProcess = async (ctx: Context, ref: SandboxRef, selector: ProcessSelector): Promise<ProcessInfo> => {
  const found = chooseProcess(await ctx.broker.processes(ref), selector);
  if (found === undefined) {
    throw new ServiceError(
      'process_not_found',
      'There is no such process in this sandbox, or it ended more than 30 seconds ago.',
    );
  }
  return found;
};
