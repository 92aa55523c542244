import { z } from '@hono/zod-openapi';
import { contextOf } from '../../../../api/context.ts';
import { sandboxRefOf } from '../../../../core/sandboxes/sandbox-ref.ts';
import { boundedJsonBody } from '../../../../middleware/json-body.ts';
import { readJson } from '../../read-json.ts';
import { expandPath } from '../path.ts';
import type { EnvdRoute, Handled } from '../route.ts';
import { namedUser } from '../user.ts';
import { renderFileFailure } from './failure.ts';
import { viewWritten } from './write.ts';

const composeBody = z.object({
  source_paths: z.array(z.string()).min(1, 'source_paths must not be empty').max(1000),
  destination: z.string().min(1, 'destination is required'),
  username: z.string().optional(),
});

/** A thousand paths of the greatest length. */
const bounded = boundedJsonBody(true, 4 * 1024 * 1024);

const compose = async (c: Handled): Promise<Response> => {
  try {
    const ctx = contextOf(c);
    await bounded(c, async () => undefined);
    const body = await readJson(c, composeBody);
    const { entry } = await ctx.broker.file(sandboxRefOf(ctx, c.var.sandbox?.sandboxId ?? ''), 'compose', {
      sources: body.source_paths.map(expandPath),
      destination: expandPath(body.destination),
      user: namedUser(body.username),
      privileged: true,
    });
    return c.json(viewWritten(entry.path, entry));
  } catch (error) {
    return renderFileFailure(error, c);
  }
};

export const composeRoute: EnvdRoute = { method: 'POST', path: '/files/compose', access: 'token', handler: compose };
