import { toHex } from '../hex.ts';
import { isSandboxId } from '../ids.ts';
import type { Signer } from '../keys/signer.ts';
import { sameBytes } from '../same-bytes.ts';
import type { SandboxAccess } from './sandbox-access.ts';

/** What a token of a sandbox opens: its envd surface, or its ports where they are not public. */
export type TokenPurpose = 'envd' | 'traffic';

const tokenPattern = /^([0-9a-f]{32})([0-9a-f]{32})$/;

/** 64 hex digits: the sandbox's id and a MAC of it. The same for as long as the sandbox lives; no row is needed to check it. */
export const sandboxToken = async (signer: Signer, purpose: TokenPurpose, sandboxId: string): Promise<string> =>
  `${sandboxId}${toHex(await signer.sign(purpose, messageOf(sandboxId)))}`;

/** The sandbox whose token this is, or undefined for anything that is not a token of ours. */
export const sandboxOfToken = async (
  signer: Signer,
  purpose: TokenPurpose,
  token: string,
): Promise<string | undefined> => {
  const [, sandboxId = '', mac = ''] = tokenPattern.exec(token) ?? [];
  if (!isSandboxId(sandboxId)) return undefined;
  const bytes = Uint8Array.from({ length: mac.length / 2 }, (_, at) =>
    Number.parseInt(mac.slice(at * 2, at * 2 + 2), 16),
  );
  return (await signer.verify(purpose, messageOf(sandboxId), bytes)) ? sandboxId : undefined;
};

/** Whether it is the token of this sandbox's envd surface. */
export const isEnvdToken = async (signer: Signer, access: SandboxAccess, token: string): Promise<boolean> => {
  access.envdToken ??= encoder.encode(await sandboxToken(signer, 'envd', access.sandboxId));
  return sameBytes(access.envdToken, encoder.encode(token));
};

const encoder = new TextEncoder();
const messageOf = (sandboxId: string): Uint8Array<ArrayBuffer> => Uint8Array.from(encoder.encode(sandboxId));
