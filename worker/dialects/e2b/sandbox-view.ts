import { timestampOf } from '../../api/timestamp.ts';
import { sandboxToken } from '../../core/access/sandbox-tokens.ts';
import type { Context } from '../../core/ports.ts';
import { publicStateOf, type PublicState } from '../../core/sandbox-state.ts';
import type { getSandbox } from '../../core/sandboxes/get-sandbox.ts';
import { viewEgress } from './network.ts';

type SandboxRow = Awaited<ReturnType<typeof getSandbox>>;

/** Of the envd whose behaviour we have: the SDKs switch features on by it. */
export const envdVersion = '0.6.13';
/** Required by the schema though nobody uses it any more. */
const clientID = 'glovebox';

export const e2bStates = ['running', 'paused'] as const;
export type E2bState = (typeof e2bStates)[number];

/** E2B knows two states. In the others there is no sandbox yet, or none any more. */
const stateTable: Record<PublicState, E2bState | null> = {
  creating: null,
  running: 'running',
  pausing: 'paused',
  paused: 'paused',
  resuming: 'paused',
  ending: null,
  ended: null,
};

export const e2bStateOf = (row: SandboxRow): E2bState | null => stateTable[publicStateOf(row)];

/** The public states that read as these. */
export const statesOf = (wanted: readonly E2bState[]): PublicState[] =>
  Object.entries(stateTable)
    .filter(([, state]) => state !== null && wanted.includes(state))
    .map(([state]) => state as PublicState);

const viewEnvdToken = async (ctx: Context, row: SandboxRow) =>
  row.envdOpen ? {} : { envdAccessToken: await sandboxToken(ctx.signer, 'envd', row.id) };

const viewName = ({ template, id }: SandboxRow) => ({
  templateID: template,
  alias: template,
  sandboxID: id,
  clientID,
  envdVersion,
});

/** What create, connect and resume answer. */
export const viewAccess = async (ctx: Context, row: SandboxRow) => ({
  ...viewName(row),
  ...(await viewEnvdToken(ctx, row)),
  trafficAccessToken: row.publicPorts ? null : await sandboxToken(ctx.signer, 'traffic', row.id),
  domain: ctx.sandboxDomain ?? null,
});

/** In a list. Sizes are whole numbers here; what a sandbox may use of its node's disk is the node's setting, so it is told by its metrics only. */
export const viewListed = (row: SandboxRow, state: E2bState) => {
  const startedAtMs = row.startedAtMs ?? row.createdAtMs;
  return {
    ...viewName(row),
    startedAt: timestampOf(startedAtMs),
    endAt: timestampOf(row.expiresAtMs ?? startedAtMs + row.ttlMs),
    cpuCount: Math.max(1, Math.round(row.cpus)),
    memoryMB: row.memoryMiB,
    diskSizeMB: 0,
    metadata: row.metadata,
    state,
    volumeMounts: [],
  };
};

export const viewDetail = async (ctx: Context, row: SandboxRow, state: E2bState) => {
  const { allowInternetAccess, network } = viewEgress(row.egress);
  return {
    ...viewListed(row, state),
    ...(await viewEnvdToken(ctx, row)),
    allowInternetAccess: row.network === 'on' && allowInternetAccess,
    domain: ctx.sandboxDomain ?? null,
    network: {
      ...network,
      allowPublicTraffic: row.publicPorts,
      ...(row.maskRequestHost === null ? {} : { maskRequestHost: row.maskRequestHost }),
    },
    lifecycle: { onTimeout: row.onTimeout, autoResume: row.autoResume },
  };
};
