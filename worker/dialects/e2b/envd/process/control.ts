import { getProcess } from '../../../../core/processes/get-process.ts';
import { writeStdin } from '../../../../core/processes/write-stdin.ts';
import { ConnectError } from '../connect/failure.ts';
import { unary } from '../connect/unary.ts';
import { inputRequest, selected, signalRequest, updateRequest } from './messages.ts';
import { withSelected } from './select.ts';

export const inputRoute = unary(
  '/process.Process/SendInput',
  inputRequest,
  async ({ ctx, ref }, { process, input }) => {
    await withSelected(process, (selector) => writeStdin(ctx, ref, selector, input));
    return {};
  },
);

export const closeStdinRoute = unary('/process.Process/CloseStdin', selected, async ({ ctx, ref }, { process }) => {
  await withSelected(process, (selector) => ctx.broker.control(ref, selector, { op: 'close_stdin' }));
  return {};
});

/** Without a size there is nothing to change, but the process must be there. */
export const updateRoute = unary('/process.Process/Update', updateRequest, async ({ ctx, ref }, { process, pty }) => {
  await withSelected<unknown>(process, (selector) =>
    pty === undefined
      ? getProcess(ctx, ref, selector)
      : ctx.broker.control(ref, selector, { op: 'resize', size: pty.size }),
  );
  return {};
});

const signals = new Map<string | number, 'SIGTERM' | 'SIGKILL'>([
  ['SIGNAL_SIGTERM', 'SIGTERM'],
  [15, 'SIGTERM'],
  ['SIGNAL_SIGKILL', 'SIGKILL'],
  [9, 'SIGKILL'],
]);

export const signalRoute = unary('/process.Process/SendSignal', signalRequest, async ({ ctx, ref }, message) => {
  const signal = signals.get(message.signal);
  if (!signal) throw new ConnectError('unimplemented', `invalid signal: ${message.signal}`);
  await withSelected(message.process, (selector) => ctx.broker.control(ref, selector, { op: 'signal', signal }));
  return {};
});
