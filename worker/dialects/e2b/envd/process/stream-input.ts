import { getProcess } from '../../../../core/processes/get-process.ts';
import { writeStdin } from '../../../../core/processes/write-stdin.ts';
import { clientStream } from '../connect/client-stream.ts';
import { ConnectError } from '../connect/failure.ts';
import { streamInputRequest } from './messages.ts';
import { withSelected } from './select.ts';

/** Input as it is typed. The process is chosen by the first message and stays the same one, whoever has its pid or tag later. */
export const streamInputRoute = clientStream('/process.Process/StreamInput', streamInputRequest, ({ ctx, ref }) => {
  let processId: string | undefined;
  return async ({ start, data }) => {
    if (start) {
      const found = await withSelected(start.process, (selector) => getProcess(ctx, ref, selector));
      processId = found.processId;
    }
    if (!data) return;
    if (processId === undefined)
      throw new ConnectError('failed_precondition', 'start comes first: it says whose input');
    await writeStdin(ctx, ref, { processId }, data.input);
  };
});
