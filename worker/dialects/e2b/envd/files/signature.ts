import { encodeBase64 } from '../../../../core/base64.ts';
import { sandboxToken } from '../../../../core/access/sandbox-tokens.ts';
import { sameBytes } from '../../../../core/same-bytes.ts';
import type { Signer } from '../../../../core/keys/signer.ts';
import type { Handled } from '../route.ts';

/** What a signed URL is for: as its query says it, and '' where it does not. */
export interface SignedRequest {
  operation: 'read' | 'write';
  path: string;
  username: string;
  /** Unix seconds. */
  expiresAt: number | undefined;
}

const encoder = new TextEncoder();

/** `v1_` and the SHA-256 of what is signed and the sandbox's token, in base64 without padding. */
export const signatureOf = async (token: string, request: SignedRequest): Promise<string> => {
  const { operation, path, username, expiresAt } = request;
  const fields = [path, operation, username, token, ...(expiresAt === undefined ? [] : [String(expiresAt)])];
  const digest = await crypto.subtle.digest('SHA-256', encoder.encode(fields.join(':')));
  return `v1_${encodeBase64(new Uint8Array(digest)).replaceAll('=', '')}`;
};

/** Whether it was made with this sandbox's token; its expiry is not looked at. Takes the same time whatever the signature is. */
export const signatureMatches = async (
  signer: Signer,
  sandboxId: string,
  request: SignedRequest,
  signature: string,
): Promise<boolean> => {
  const wanted = await signatureOf(await sandboxToken(signer, 'envd', sandboxId), request);
  return sameBytes(encoder.encode(wanted), encoder.encode(signature));
};

/** A /files request as it would have been signed. 'malformed': its expiry is no whole number. */
export const signedRequestOf = (c: Handled): SignedRequest | 'malformed' => {
  const expiration = c.req.query('signature_expiration');
  if (expiration !== undefined && !/^-?\d{1,15}$/.test(expiration)) return 'malformed';
  return {
    operation: c.req.method === 'POST' ? 'write' : 'read',
    path: c.req.query('path') ?? '',
    username: c.req.query('username') ?? '',
    expiresAt: expiration === undefined ? undefined : Number(expiration),
  };
};
