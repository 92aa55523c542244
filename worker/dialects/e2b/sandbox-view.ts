import { sandboxToken } from '../../core/access/sandbox-tokens.ts';
import type { Context } from '../../core/ports.ts';
import type { getSandbox } from '../../core/sandboxes/get-sandbox.ts';

type SandboxRow = Awaited<ReturnType<typeof getSandbox>>;

/** Of the envd whose behaviour we have: the SDKs switch features on by it. */
export const envdVersion = '0.6.13';
/** Required by the schema though nobody uses it any more. */
const clientID = 'glovebox';

/** What create, connect and resume answer. */
export const viewAccess = async (ctx: Context, row: SandboxRow) => ({
  templateID: row.template,
  sandboxID: row.id,
  clientID,
  envdVersion,
  ...(row.envdOpen ? {} : { envdAccessToken: await sandboxToken(ctx.signer, 'envd', row.id) }),
  trafficAccessToken: row.publicPorts ? null : await sandboxToken(ctx.signer, 'traffic', row.id),
  domain: null,
});
