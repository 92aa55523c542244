import { OpenAPIHono, type z } from '@hono/zod-openapi';
import type { SandboxAccess } from '../core/access/sandbox-access.ts';
import { ServiceError } from '../core/errors.ts';
import type { Actor, AdminContext, Services } from '../core/ports.ts';

/** Read one by `c.get`: `c.var` copies them all each time. */
export interface AppEnv {
  Variables: {
    requestId: string;
    services: Services;
    /** Absent where no key is needed and for the administrator. */
    actor?: Actor;
    /** Of a request to a sandbox itself, by its own address: no API key was asked for. */
    sandbox?: SandboxAccess;
    /** The answer is that of a server in a sandbox. */
    fromPort?: true;
    /** What verbs get, without who asks; made when it is first needed (context.ts). */
    context?: AdminContext;
    log: Log;
  };
}

/** One structured line. Never secrets, never a tenant's data. */
export type Log = (entry: Record<string, unknown>) => void;

export type App = OpenAPIHono<AppEnv>;

const issuesOf = (error: z.core.$ZodError) =>
  error.issues.slice(0, 20).map((issue) => ({ path: issue.path.map(String).join('.'), message: issue.message }));

export const newApp = (): App =>
  new OpenAPIHono<AppEnv>({
    defaultHook: (result) => {
      if (result.success) return;
      const issues = issuesOf(result.error);
      const first = issues[0];
      const place = result.target === 'json' ? 'body' : result.target;
      const what = first
        ? `${first.path === '' ? `the ${place}` : `${place} ${first.path}`}: ${first.message}`
        : 'invalid';
      throw new ServiceError('invalid_argument', `The request is invalid: ${what}.`, { issues });
    },
  });
