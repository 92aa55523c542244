import { errorFromRunner } from '../core/errors.ts';
import type { StreamEvent } from '../core/ports.ts';
import { PiecewiseText, type OutputEncoding } from './output-text.ts';
import { exitView } from './process-view.ts';
import { errorView, toServiceError } from './render-error.ts';
import { sseEvent, type SseRenderer } from './sse.ts';

const outputNames = ['pty', 'stdout', 'stderr'] as const;

/**
 * Renders a process's events. An event's id is the offset after its bytes, from where a reader goes on; a character that is still
 * incomplete is not counted, so that it comes again whole.
 */
export const processEvents = (encoding: OutputEncoding, requestId: string): SseRenderer<StreamEvent> => {
  const texts = outputNames.map(() => new PiecewiseText(encoding));
  const output = (fd: 0 | 1 | 2, data: string, id?: number): string =>
    data === '' ? '' : sseEvent(outputNames[fd], { data, encoding }, id);
  const flushed = (): string => ([0, 1, 2] as const).map((fd) => output(fd, texts[fd]?.flush() ?? '')).join('');
  const failed = (error: unknown): string => flushed() + sseEvent('error', errorView(toServiceError(error), requestId));

  const render = (event: StreamEvent): string => {
    switch (event.t) {
      case 'started':
        return sseEvent('started', { processId: event.processId, pid: event.pid });
      case 'data': {
        const bytes = event.bytes ?? new Uint8Array();
        const text = texts[event.fd];
        const data = text?.take(bytes) ?? '';
        return output(event.fd, data, event.o + bytes.length - (text?.heldBytes ?? 0));
      }
      case 'lagged':
        return flushed() + sseEvent('lagged', { droppedBytes: event.droppedBytes, detached: event.detached });
      case 'exit':
        return flushed() + sseEvent('exit', exitView(event.exit), event.o);
      case 'error':
        return failed(errorFromRunner(event.fault));
      case 'accepted':
      case 'watch':
      case 'result':
      case 'end':
        return '';
      default:
        return event satisfies never;
    }
  };
  return { opening: '', render, failed };
};
