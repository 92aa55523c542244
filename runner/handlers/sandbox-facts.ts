import type { ExecHandler } from './handler.ts';

/** That it got here says it: the job was fenced. */
export const answerPing: ExecHandler<'sandbox.ping'> = async (_context, _job, _sandbox, conversation) => {
  conversation.send({ t: 'result', value: {} });
  conversation.finish();
};

export const readEnvironment: ExecHandler<'sandbox.environment'> = async ({ journal }, _job, sandbox, conversation) => {
  conversation.send({ t: 'result', value: { env: journal.environment(sandbox.id).own } });
  conversation.finish();
};
