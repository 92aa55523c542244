import type { Context as HonoContext } from 'hono';
import type { AppEnv } from '../../api/app-env.ts';

export type Handled = HonoContext<AppEnv>;

/** One route of the control plane's half. The frame does what `body` and `open` say before it calls the handler. */
export interface E2bRoute {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Parameters in braces: /sandboxes/{sandboxID}. */
  path: string;
  /** `none`: the handler does not look at the body. Else bounded, and said to be JSON: read it with readJson. */
  body: 'none' | 'json' | 'optional-json';
  /** Answered without a key. */
  open?: true;
  handler: (c: Handled) => Response | Promise<Response>;
}
