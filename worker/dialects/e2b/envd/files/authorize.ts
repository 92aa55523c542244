import type { SandboxAccess } from '../../../../core/access/sandbox-access.ts';
import { sandboxOfToken } from '../../../../core/access/sandbox-tokens.ts';
import { ServiceError } from '../../../../core/errors.ts';
import type { Handled } from '../route.ts';
import { signatureMatches, signedRequestOf } from './signature.ts';

/** Why a /files request may not go on, as E2B's clients know it; undefined: it may. Throws invalid_argument for an expiry that is no number. */
export const refusalOf = async (c: Handled, access: SandboxAccess): Promise<string | undefined> => {
  if (access.envdOpen) return undefined;
  const { signer } = c.var.services;
  const token = c.req.header('x-access-token') ?? '';
  if (token !== '') {
    const ours = (await sandboxOfToken(signer, 'envd', token)) === access.sandboxId;
    return ours ? undefined : 'access token present in header but does not match';
  }
  const signature = c.req.query('signature');
  if (signature === undefined) return 'missing signature query parameter';
  const request = signedRequestOf(c);
  if (request === 'malformed') {
    throw new ServiceError('invalid_argument', 'signature_expiration is not a whole number of seconds');
  }
  if (!(await signatureMatches(signer, access.sandboxId, request, signature))) return 'invalid signature';
  const nowSeconds = Math.floor(c.var.services.now() / 1000);
  if (request.expiresAt !== undefined && request.expiresAt < nowSeconds) return 'signature is already expired';
  return undefined;
};
