import { attachProcess } from '../../../../core/processes/attach-process.ts';
import { serverStream } from '../connect/server-stream.ts';
import { keepalive, processEvents } from './events.ts';
import { selected } from './messages.ts';
import { withSelected } from './select.ts';

/** What was said before is not said again. Its deadline ends the stream and leaves the process alone. */
export const connectRoute = serverStream(
  '/process.Process/Connect',
  selected,
  keepalive,
  async ({ ctx, ref }, { process }) => {
    const events = await withSelected(process, (selector) => attachProcess(ctx, ref, selector, 'end'));
    return processEvents(events, 'subscriber');
  },
);
