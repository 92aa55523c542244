import { RunnerError } from '../protocol/errors.ts';
import type { NodeHandler } from './handler.ts';

/** Of a paused one as well; nothing is asked of the sandbox or its engine. */
export const readUsage: NodeHandler<'sandbox.usage'> = async ({ sandboxes, usage }, job, conversation) => {
  const sandbox = sandboxes.find(job.sandboxId);
  if (sandbox?.epoch !== job.epoch) throw new RunnerError('sandbox_not_found', 'The sandbox is not on this node.');
  conversation.send({ t: 'result', value: { samples: usage.read(sandbox, job.query) } });
  conversation.finish();
};
