import { openedEvents } from '../../../../core/opened-events.ts';
import { foregroundReader } from '../../../../core/processes/attachment.ts';
import { processSpecOf } from '../../../../core/processes/process-spec.ts';
import { serverStream } from '../connect/server-stream.ts';
import { processEvents } from './events.ts';
import { startRequest } from './messages.ts';

const keepalive = { event: { keepalive: {} } };

export const startRoute = serverStream('/process.Process/Start', startRequest, keepalive, async (call, message) => {
  const { process, pty, tag, stdin } = message;
  const spec = processSpecOf({
    command: [process.cmd, ...process.args],
    login: false,
    cwd: process.cwd,
    env: process.envs,
    user: 'user',
    stdinOpen: stdin || pty !== undefined,
    pty: pty?.size,
    tag,
  });
  return processEvents(await openedEvents(await call.ctx.broker.start(call.ref, spec, foregroundReader(0))));
});
