import { commandRoutes } from '../contract/commands.ts';
import { executionBounds } from '../contract/execution.ts';
import { runCommand, streamCommand } from '../core/commands/run-command.ts';
import type { App } from './app-env.ts';
import { contextOf, sandboxRefOf } from './context.ts';
import { processEvents } from './process-events.ts';
import { execView } from './process-view.ts';
import { sseResponse, wantsEvents } from './sse.ts';

export const registerCommands = (app: App): void => {
  app.openapi(commandRoutes.exec, async (c) => {
    const ctx = contextOf(c);
    const ref = sandboxRefOf(c, ctx);
    const { encoding, stdin, stdinBase64, ...body } = c.req.valid('json');
    const command = { ...body, stdin: stdinBase64 === undefined ? stdin : { base64: stdinBase64 } };
    if (wantsEvents(c.req.header('accept'))) {
      const events = await streamCommand(ctx, ref, command);
      return sseResponse(events, processEvents(encoding, ctx.requestId));
    }
    const outputLimitBytes = body.outputLimitBytes ?? executionBounds.outputDefaultBytes;
    const result = await runCommand(ctx, ref, { ...command, outputLimitBytes });
    return c.json(execView(result, encoding), 200);
  });
};
