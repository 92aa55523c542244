import type { Context as HonoContext } from 'hono';
import type { AppEnv } from '../../api/app-env.ts';

export type Handled = HonoContext<AppEnv>;

/** One route of the dialect. The frame does what `body` and `open` say before it calls the handler. */
export interface AcontextRoute {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Below /api/v1, parameters in braces: /disk/{disk_id}/artifact. */
  path: string;
  /**
   * `none`: the handler does not look at the body. `json`, `optional-json`: bounded (jsonBodyMaxBytes) and said to be JSON; read it with
   * readJson; `json-or-form`: the same as the latter, or a form, with readJsonOrForm. `stream`: the handler reads, and bounds, it itself.
   */
  body: 'none' | 'json' | 'optional-json' | 'json-or-form' | 'stream';
  /** Answered without a key. */
  open?: true;
  handler: (c: Handled) => Response | Promise<Response>;
}
