import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { logFailure, toServiceError } from '../../api/render-error.ts';
import type { ServiceError } from '../../core/errors.ts';
import { toUuid } from './ids.ts';
import type { Handled } from './route.ts';

/** Acontext's answer to what went well. Without `data` the key is left out, as after a DELETE. */
export const succeed = (c: Handled, status: 200 | 201, data?: object): Response =>
  c.json({ code: 0, ...(data === undefined ? {} : { data }), msg: '' }, status);

/** What is said besides the sentence: which fields are wrong. */
const detailOf = (error: ServiceError): string | undefined =>
  error.issues?.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`)).join('; ');

/** Sentences of the core name an id as the native API spells it. */
const respell = (sentence: string): string =>
  sentence.replaceAll(/(?<=\bwith the id )[0-9a-f]{32}\b/g, (id) => toUuid(id));

/** Anything thrown, in Acontext's envelope. `code` is the HTTP status: the SDKs take any code from 400 on for an error. */
export const renderFailure = (thrown: unknown, c: Handled): Response => {
  const error = toServiceError(thrown);
  logFailure(c, error, thrown);
  const later = error.status === 429 || error.status === 503 ? 1 : undefined;
  const retryAfterSeconds = error.retryAfterSeconds ?? later;
  if (retryAfterSeconds !== undefined) c.header('retry-after', String(Math.ceil(retryAfterSeconds)));
  if (error.code === 'unauthenticated') {
    c.header('www-authenticate', 'Bearer');
    return c.json({ code: 401, msg: 'Unauthorized' }, 401);
  }
  const detail = detailOf(error);
  const body = { code: error.status, msg: respell(error.message), ...(detail === undefined ? {} : { error: detail }) };
  return c.json(body, error.status as ContentfulStatusCode);
};
