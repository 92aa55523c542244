import type { MiddlewareHandler } from 'hono';
import type { AppEnv } from '../../api/app-env.ts';
import { serveEnvd } from './envd/app.ts';
import { sandboxGone } from './proxy-error.ts';

/** Where a sandbox's files, processes and metadata are served. */
const envdPort = '49983';

/** Requests to a sandbox and not to the control plane: told by their E2b-Sandbox headers. */
export const sandboxTraffic: MiddlewareHandler<AppEnv> = async (c, next) => {
  const sandboxId = c.req.header('e2b-sandbox-id');
  if (sandboxId === undefined) return next();
  const access = await c.var.services.accesses.find(c.var.services, sandboxId);
  const port = c.req.header('e2b-sandbox-port') ?? envdPort;
  if (!access || port !== envdPort) return sandboxGone(c, sandboxId);
  return serveEnvd(c, access);
};
