import type { Context as HonoContext } from 'hono';
import { previewRoutes } from '../contract/previews.ts';
import { actorOfSandbox } from '../core/access/sandbox-access.ts';
import { ServiceError } from '../core/errors.ts';
import { createPreview, judgePreview } from '../core/traffic/previews.ts';
import { isPort, sandboxHost } from '../core/traffic/sandbox-host.ts';
import type { App, AppEnv } from './app-env.ts';
import { adminContextOf, contextOf } from './context.ts';
import { askedFor, clientAddressOf, exchangeWithPort, targetOf } from './port-exchange.ts';
import { timestampOf } from './timestamp.ts';

/** Port, sandbox and signature, as in a host name's label. */
const labelShape = /^([0-9]{1,5})-([0-9a-f]{32})-([a-z2-7]{23})$/;
const base = '/v1/previews/';

export const registerPreviews = (app: App): void => {
  app.openapi(previewRoutes.create, async (c) => {
    const ctx = contextOf(c);
    const { sandboxId } = c.req.valid('param');
    const { port, expiresInSeconds } = c.req.valid('json');
    const { suffix, expiresAtMs } = await createPreview(ctx, sandboxId, port, expiresInSeconds);
    const { publicUrl, sandboxDomain } = ctx;
    const scheme = new URL(publicUrl).protocol;
    const url =
      sandboxDomain === undefined ? null : `${scheme}//${sandboxHost(sandboxDomain, port, sandboxId, suffix)}/`;
    const pathUrl = `${publicUrl}${base}${port}-${sandboxId}-${suffix}/`;
    return c.json({ port, url, pathUrl, expiresAt: timestampOf(expiresAtMs) }, 201);
  });
  app.all(`${base}:label`, (c) => c.redirect(`${base}${c.req.param('label')}/`, 308));
  app.all(`${base}:label/*`, (c) => visitPreview(c, c.req.param('label')));
};

/** Whoever has the URL, on the API's own origin: nothing that a browser gets there acts on that origin. */
const visitPreview = async (c: HonoContext<AppEnv>, label: string): Promise<Response> => {
  const [, digits = '', sandboxId = '', suffix = ''] = labelShape.exec(label) ?? [];
  const port = Number(digits);
  const admin = adminContextOf(c);
  const verdict = isPort(port) ? await judgePreview(admin.signer, { sandboxId, port }, suffix, admin.now()) : 'forged';
  const access =
    verdict === 'valid' ? await admin.accesses.find(admin, sandboxId, clientAddressOf(c) ?? '') : undefined;
  if (!access) throw new ServiceError('not_found', 'There is no such preview, or it has expired.');
  c.set('sandbox', access);
  const target = targetOf(c.req.url).slice(base.length + label.length);
  const asked = askedFor(c, undefined, true);
  return exchangeWithPort(c, { ...admin, actor: actorOfSandbox(access) }, { access, port, target, asked, on: 'path' });
};
