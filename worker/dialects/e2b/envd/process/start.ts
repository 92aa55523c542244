import { ServiceError } from '../../../../core/errors.ts';
import { openedEvents } from '../../../../core/opened-events.ts';
import { foregroundReader } from '../../../../core/processes/attachment.ts';
import { processSpecOf } from '../../../../core/processes/process-spec.ts';
import { ConnectError } from '../connect/failure.ts';
import { serverStream } from '../connect/server-stream.ts';
import { rpcUser, unknownUser } from '../user.ts';
import { keepalive, processEvents } from './events.ts';
import { startRequest } from './messages.ts';

export const startRoute = serverStream('/process.Process/Start', startRequest, keepalive, async (call, message) => {
  const { ctx, ref, sandbox, timeoutMs } = call;
  const { argv, envs, cwd } = message.process;
  const user = rpcUser(call.c);
  const spec = processSpecOf({
    command: argv,
    login: false,
    cwd: cwd || '~',
    env: envs,
    envDefaults: { E2B_SANDBOX: 'true', E2B_SANDBOX_ID: sandbox.sandboxId, E2B_TEMPLATE_ID: sandbox.template },
    user,
    stdinOpen: message.stdin || message.pty !== undefined,
    pty: message.pty?.size,
    tag: message.tag,
    timeoutMs,
  });
  try {
    const events = await openedEvents(await ctx.broker.start(ref, spec, foregroundReader(0)));
    return processEvents(events, 'starter');
  } catch (error) {
    throw inEnvdsWords(error, user, cwd ?? '');
  }
});

const inEnvdsWords = (error: unknown, user: string, cwd: string): unknown => {
  if (!(error instanceof ServiceError)) return error;
  if (error.code === 'user_not_found') return new ConnectError('unauthenticated', unknownUser(user));
  if (error.code === 'cwd_not_found') return new ConnectError('invalid_argument', `cwd '${cwd}' does not exist`);
  return error;
};
