import type { Context as HonoContext } from 'hono';
import type { AppEnv } from '../../../api/app-env.ts';

export type Handled = HonoContext<AppEnv>;

/** One route of a sandbox's envd surface (port 49983). All of its paths are fixed. */
export interface EnvdRoute {
  method: 'GET' | 'POST';
  path: string;
  /** Who may call where the sandbox has a token: who brings it, who brings it or a signature, anybody. */
  access: 'token' | 'token-or-signature' | 'anybody';
  handler: (c: Handled) => Response | Promise<Response>;
}
