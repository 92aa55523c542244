import type { Sandbox } from '../../../db/cell.ts';
import type { Context } from '../ports.ts';
import { allows, refusalOf } from '../sandbox-state.ts';
import { endSandbox } from './end-sandbox.ts';
import { getSandbox } from './get-sandbox.ts';
import { pauseSandbox } from './pause-sandbox.ts';

/** Its time is up now: it ends or is paused, as its onTimeout says. Throws as a new deadline would. */
export const expireSandbox = async (ctx: Context, sandboxId: string): Promise<Sandbox> => {
  const row = await getSandbox(ctx, sandboxId);
  if (!allows('deadline', row)) throw refusalOf('deadline', row);
  if (row.onTimeout === 'pause') return (await pauseSandbox(ctx, sandboxId, row.keepMemory)).sandbox;
  return endSandbox(ctx, sandboxId, 0, 'timeout');
};
