import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { logFailure, toServiceError } from '../../api/render-error.ts';
import type { ServiceError } from '../../core/errors.ts';
import type { Handled } from './route.ts';

/** As infra's own limit is told; ours is the protocol's. */
const connectionLimit = 256;

const browsers = /mozilla|chrome|safari|firefox|edge|opera|msie/i;

interface ProxyError {
  sandboxId: string;
  message: string;
  code: number;
  port?: number;
  connectionLimit?: number;
}

/** What E2B's proxy says for a sandbox that cannot be reached: the SDKs tell from a 502 that it is gone. */
export const sandboxGone = (c: Handled, sandboxId: string): Response =>
  say(c, { sandboxId, message: 'The sandbox was not found', code: 502 });

/** Header names in lower case, as the proxy writes them. */
export const trafficTokenHeader = 'e2b-traffic-access-token';

export const trafficTokenMissing = (c: Handled, sandboxId: string): Response =>
  say(c, {
    sandboxId,
    message: `Sandbox is secured with traffic access token. Token header '${trafficTokenHeader}' is missing`,
    code: 403,
  });

export const trafficTokenInvalid = (c: Handled, sandboxId: string): Response =>
  say(c, {
    sandboxId,
    message: `Sandbox is secured with traffic access token. Provided token in header '${trafficTokenHeader}' is invalid`,
    code: 403,
  });

export const previewRefused = (c: Handled, sandboxId: string, verdict: 'expired' | 'forged'): Response =>
  say(c, {
    sandboxId,
    message: `The preview URL ${verdict === 'expired' ? 'has expired' : 'is not valid'}`,
    code: 403,
  });

/** Anything thrown on the way to a port. */
export const renderProxyFailure = (thrown: unknown, c: Handled, sandboxId: string, port: number): Response => {
  const error = toServiceError(thrown);
  logFailure(c, error, thrown);
  if (error.retryAfterSeconds !== undefined) c.header('retry-after', String(Math.ceil(error.retryAfterSeconds)));
  return say(c, { sandboxId, ...bodyOf(error, port) });
};

const bodyOf = (error: ServiceError, port: number): Omit<ProxyError, 'sandboxId'> => {
  switch (error.code) {
    case 'not_found':
    case 'sandbox_ended':
      return { message: 'The sandbox was not found', code: 502 };
    case 'sandbox_not_running':
      // One that is being made says when to try again; one that is paused, and not woken by traffic, is not there for it.
      return error.retryAfterSeconds === undefined
        ? { message: 'The sandbox was not found', code: 502 }
        : transitioning;
    case 'conflict':
      return transitioning;
    case 'too_many_connections':
      return {
        message: `The sandbox has too many concurrent incoming connections (limit: ${connectionLimit})`,
        code: 429,
        connectionLimit,
      };
    case 'port_not_open':
      return { message: 'The sandbox is running but port is not open', port, code: 502 };
    case 'port_failed':
      return { message: error.message, port, code: 502 };
    default:
      return { message: error.message, code: error.status };
  }
};

const transitioning = { message: 'The sandbox is still transitioning. Try again in a moment.', code: 409 };

const say = (c: Handled, error: ProxyError): Response => {
  const status = error.code as ContentfulStatusCode;
  if (!isNavigation(c)) return c.json(error, status);
  c.header('content-security-policy', "default-src 'none'; frame-ancestors 'none'; sandbox");
  return c.html(page(error), status);
};

/** A person looks at it: no script and no program, which parse what they get. */
const isNavigation = (c: Handled): boolean => {
  const mode = c.req.header('sec-fetch-mode');
  if (mode !== undefined && mode !== 'navigate') return false;
  if (c.req.header('x-requested-with') !== undefined) return false;
  const accepts = (c.req.header('accept') ?? '').toLowerCase();
  return accepts.includes('text/html') && browsers.test(c.req.header('user-agent') ?? '');
};

const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
const escape = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => escapes[character] ?? '');

const page = ({ sandboxId, message, port }: ProxyError): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>${escape(message)}</title>
<h1>${escape(message)}</h1>
<p>Sandbox <code>${escape(sandboxId)}</code>${port === undefined ? '' : `, port <code>${port}</code>`}</p>
</html>
`;
