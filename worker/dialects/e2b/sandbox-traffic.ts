import type { MiddlewareHandler } from 'hono';
import type { AppEnv } from '../../api/app-env.ts';
import { adminContextOf } from '../../api/context.ts';
import { askedFor, clientAddressOf, exchangeWithPort, targetOf } from '../../api/port-exchange.ts';
import { actorOfSandbox, type SandboxAccess } from '../../core/access/sandbox-access.ts';
import { sandboxOfToken } from '../../core/access/sandbox-tokens.ts';
import type { Context } from '../../core/ports.ts';
import { limits } from '../../core/traffic/limits.ts';
import { judgePreview, type PreviewVerdict } from '../../core/traffic/previews.ts';
import { readSandboxHost } from '../../core/traffic/sandbox-host.ts';
import { ensureAwake } from '../../core/traffic/wake-sandbox.ts';
import { serveEnvd } from './envd/app.ts';
import { findSigner } from './find-signer.ts';
import {
  previewRefused,
  renderProxyFailure,
  sandboxGone,
  trafficTokenHeader,
  trafficTokenInvalid,
  trafficTokenMissing,
} from './proxy-error.ts';
import type { Handled } from './route.ts';
import { trafficOf, type Traffic } from './traffic-table.ts';

type ToPort = Extract<Traffic, { to: 'port' }>;

/** Requests to a sandbox and not to the control plane. */
export const sandboxTraffic =
  (options: { apiHostname: string; local: boolean }): MiddlewareHandler<AppEnv> =>
  async (c, next) => {
    const traffic = trafficOf(factsOf(c, options));
    switch (traffic.to) {
      case 'control plane':
        return next();
      case 'nowhere':
        return c.json({ code: 400, message: traffic.message }, 400);
      case 'port':
        return toPort(c, traffic);
      case 'owner of the token':
        return toEnvd(c, await sandboxOfToken(c.var.services.signer, 'envd', traffic.token));
      case 'signer':
        return toEnvd(c, await findSigner(c));
      default:
        return traffic satisfies never;
    }
  };

const factsOf = (c: Handled, { apiHostname, local }: { apiHostname: string; local: boolean }) => {
  const { hostname, searchParams } = new URL(c.req.url);
  return {
    host: readSandboxHost(c.get('services').sandboxDomain, apiHostname, hostname),
    sandboxId: c.req.header('e2b-sandbox-id'),
    sandboxPort: c.req.header('e2b-sandbox-port'),
    accessToken: c.req.header('x-access-token'),
    keyed: c.req.header('x-api-key') !== undefined || /^bearer /i.test(c.req.header('authorization') ?? ''),
    method: c.req.method,
    path: c.req.path,
    signature: searchParams.get('signature'),
    local,
  };
};

const toEnvd = (c: Handled, sandboxId: string | undefined): Promise<Response> | Response =>
  sandboxId === undefined
    ? sandboxGone(c, '')
    : toPort(c, { to: 'port', by: 'headers', sandboxId, port: limits.envdPort, suffix: undefined });

const toPort = async (c: Handled, traffic: ToPort): Promise<Response> => {
  const { sandboxId, port } = traffic;
  try {
    const services = c.get('services');
    const access = await services.accesses.find(services, sandboxId, clientAddressOf(c) ?? '');
    if (!access) return sandboxGone(c, sandboxId);
    c.set('sandbox', access);
    const ctx: Context = { ...adminContextOf(c), actor: actorOfSandbox(access) };
    if (port === limits.envdPort) return await serveEnvd(c, access, () => ensureAwake(ctx, access));
    const verdict = await judgePreview(ctx.signer, traffic, traffic.suffix, ctx.now());
    return (await refusal(c, access, verdict)) ?? (await exchange(c, ctx, access, traffic, verdict));
  } catch (error) {
    return renderProxyFailure(error, c, sandboxId, port);
  }
};

/** A preview's signature or the traffic token, where one is asked for; undefined: it may pass. */
const refusal = async (c: Handled, access: SandboxAccess, verdict: PreviewVerdict): Promise<Response | undefined> => {
  const { signer } = c.var.services;
  const { sandboxId } = access;
  if (verdict === 'valid') return undefined;
  if (verdict !== 'none') return previewRefused(c, sandboxId, verdict);
  if (access.publicPorts) return undefined;
  const token = c.req.header(trafficTokenHeader);
  if (token === undefined || token === '') return trafficTokenMissing(c, sandboxId);
  if ((await sandboxOfToken(signer, 'traffic', token)) === sandboxId) return undefined;
  return trafficTokenInvalid(c, sandboxId);
};

const exchange = (
  c: Handled,
  ctx: Context,
  access: SandboxAccess,
  { port, by, suffix }: ToPort,
  verdict: PreviewVerdict,
): Promise<Response> => {
  const asked = askedFor(c, verdict === 'none' ? undefined : suffix, false);
  return exchangeWithPort(c, ctx, { access, port, target: targetOf(c.req.url), asked, on: by });
};
