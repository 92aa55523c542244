import type { NodeHandler } from './handler.ts';

/** Nothing is answered but that it is done: the records go the way that they always go, so that none is told twice. */
export const reportHistory: NodeHandler<'sandbox.history'> = async (context, { sandboxId }, conversation) => {
  await context.reportHistory(sandboxId);
  conversation.send({ t: 'result', value: {} });
  conversation.finish();
};
