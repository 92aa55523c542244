import { listSecuredSandboxes } from '../../core/access/secured-sandboxes.ts';
import { ServiceError } from '../../core/errors.ts';
import { signatureMatches, signedRequestOf } from './envd/files/signature.ts';
import type { Handled } from './route.ts';

/** Each of these is asked whether it signed: past this many nobody is. */
const sandboxesMax = 1_000;
const searchesPerSecond = 5;
const atOnce = 50;

/**
 * The sandbox whose token has signed this /files request, which names none: of the embedded default, where a signed URL has no host name that
 * would say it. Throws rate_limited.
 */
export const findSigner = async (c: Handled): Promise<string | undefined> => {
  const { services } = c.var;
  const request = signedRequestOf(c);
  const signature = c.req.query('signature') ?? '';
  if (request === 'malformed' || !signature.startsWith('v1_')) return undefined;
  if (!(await services.broker.takeRequest('signature-search', searchesPerSecond))) {
    throw new ServiceError('rate_limited', 'Too many signed URLs are looked for at once. Try again.', {
      retryAfterSeconds: 1,
    });
  }
  const ids = (await listSecuredSandboxes(services, sandboxesMax)) ?? [];
  for (let at = 0; at < ids.length; at += atOnce) {
    const some = ids.slice(at, at + atOnce);
    const matches = await Promise.all(some.map((id) => signatureMatches(services.signer, id, request, signature)));
    const found = some[matches.indexOf(true)];
    if (found !== undefined) return found;
  }
  return undefined;
};
