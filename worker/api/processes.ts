import { processRoutes } from '../contract/processes.ts';
import { attachProcess } from '../core/processes/attach-process.ts';
import { getProcess } from '../core/processes/get-process.ts';
import { startProcess } from '../core/processes/start-process.ts';
import { waitForExit } from '../core/processes/wait-for-exit.ts';
import { writeStdin } from '../core/processes/write-stdin.ts';
import type { App } from './app-env.ts';
import { contextOf, sandboxRefOf } from './context.ts';
import { processEvents } from './process-events.ts';
import { exitView, processView } from './process-view.ts';
import { bodyOf } from './request-bytes.ts';
import { sseResponse } from './sse.ts';

export const registerProcesses = (app: App): void => {
  registerProcessReads(app);
  registerProcessWrites(app);
};

const registerProcessReads = (app: App): void => {
  app.openapi(processRoutes.list, async (c) => {
    const ctx = contextOf(c);
    const processes = await ctx.broker.processes(sandboxRefOf(c, ctx));
    return c.json({ processes: processes.map(processView) }, 200);
  });

  app.openapi(processRoutes.get, async (c) => {
    const ctx = contextOf(c);
    const process = await getProcess(ctx, sandboxRefOf(c, ctx), c.req.valid('param').processId);
    return c.json(processView(process), 200);
  });

  app.openapi(processRoutes.events, async (c) => {
    const ctx = contextOf(c);
    const { fromOffset, encoding } = c.req.valid('query');
    const offset = c.req.valid('header')['last-event-id'] ?? fromOffset ?? 0;
    const events = await attachProcess(ctx, sandboxRefOf(c, ctx), c.req.valid('param').processId, offset);
    return sseResponse(events, processEvents(encoding, ctx.requestId));
  });

  app.openapi(processRoutes.wait, async (c) => {
    const ctx = contextOf(c);
    const selector = c.req.valid('param').processId;
    const { timeoutMs } = c.req.valid('query');
    const { processId, exit } = await waitForExit(ctx, sandboxRefOf(c, ctx), selector, timeoutMs);
    return c.json({ processId, running: exit === null, exit: exit === null ? null : exitView(exit) }, 200);
  });
};

const registerProcessWrites = (app: App): void => {
  app.openapi(processRoutes.start, async (c) => {
    const ctx = contextOf(c);
    const { stdin, stdinBase64, stdinOpen, ...body } = c.req.valid('json');
    const bytes = stdinBase64 === undefined ? stdin : { base64: stdinBase64 };
    const open = body.pty !== undefined || (stdinOpen ?? bytes === undefined);
    const started = await startProcess(ctx, sandboxRefOf(c, ctx), { ...body, stdin: bytes, stdinOpen: open });
    return c.json(started, 201);
  });

  app.openapi(processRoutes.writeStdin, async (c) => {
    const ctx = contextOf(c);
    const ref = sandboxRefOf(c, ctx);
    const { body, contentBytes } = bodyOf(c);
    const { processId } = c.req.valid('param');
    const writtenBytes = body === null ? 0 : await writeStdin(ctx, ref, processId, body, contentBytes);
    return c.json({ writtenBytes }, 200);
  });

  app.openapi(processRoutes.closeStdin, async (c) => {
    const ctx = contextOf(c);
    await ctx.broker.control(sandboxRefOf(c, ctx), c.req.valid('param').processId, { op: 'close_stdin' });
    return c.body(null, 204);
  });

  app.openapi(processRoutes.resize, async (c) => {
    const ctx = contextOf(c);
    const size = c.req.valid('json');
    await ctx.broker.control(sandboxRefOf(c, ctx), c.req.valid('param').processId, { op: 'resize', size });
    return c.body(null, 204);
  });

  app.openapi(processRoutes.signal, async (c) => {
    const ctx = contextOf(c);
    const { signal } = c.req.valid('json');
    await ctx.broker.control(sandboxRefOf(c, ctx), c.req.valid('param').processId, { op: 'signal', signal });
    return c.body(null, 204);
  });
};
