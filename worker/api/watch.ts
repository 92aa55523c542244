import { fileRoutes } from '../contract/files.ts';
import { errorFromRunner } from '../core/errors.ts';
import { watchFiles } from '../core/files/watch-files.ts';
import type { StreamEvent } from '../core/ports.ts';
import type { App } from './app-env.ts';
import { contextOf, sandboxRefOf } from './context.ts';
import { changeView } from './file-view.ts';
import { errorView, toServiceError } from './render-error.ts';
import { sseEvent, sseResponse, type SseRenderer } from './sse.ts';

export const registerWatch = (app: App): void => {
  app.openapi(fileRoutes.watch, async (c) => {
    const ctx = contextOf(c);
    const events = await watchFiles(ctx, sandboxRefOf(c, ctx), c.req.valid('query'));
    return sseResponse(events, watchEvents(ctx.requestId));
  });
};

const watchEvents = (requestId: string): SseRenderer<StreamEvent> => {
  const failed = (error: unknown): string => sseEvent('error', errorView(toServiceError(error), requestId));
  const render = (event: StreamEvent): string => {
    if (event.t === 'error') return failed(errorFromRunner(event.fault));
    if (event.t !== 'watch') return '';
    const changes = event.events.map((change) => sseEvent('change', changeView(change))).join('');
    return event.droppedEvents > 0 ? changes + sseEvent('lagged', { droppedEvents: event.droppedEvents }) : changes;
  };
  return { opening: sseEvent('ready', {}), render, failed };
};
