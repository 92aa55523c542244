import * as lifecycle from '../contract/sandbox-lifecycle.ts';
import * as routes from '../contract/sandboxes.ts';
import { changeMetadata } from '../core/sandboxes/change-metadata.ts';
import { connectSandbox } from '../core/sandboxes/connect-sandbox.ts';
import { countSandboxes } from '../core/sandboxes/count-sandboxes.ts';
import { createSandbox, plainSandbox } from '../core/sandboxes/create-sandbox.ts';
import { endSandbox } from '../core/sandboxes/end-sandbox.ts';
import { extendDeadline } from '../core/sandboxes/extend-deadline.ts';
import { getSandbox } from '../core/sandboxes/get-sandbox.ts';
import { listSandboxes } from '../core/sandboxes/list-sandboxes.ts';
import { pauseSandbox } from '../core/sandboxes/pause-sandbox.ts';
import { resumeSandbox } from '../core/sandboxes/resume-sandbox.ts';
import { setDeadline } from '../core/sandboxes/set-deadline.ts';
import { updateNetwork } from '../core/sandboxes/update-network.ts';
import type { App } from './app-env.ts';
import { contextOf } from './context.ts';
import { viewSandbox } from './sandbox-view.ts';

export const registerSandboxes = (app: App): void => {
  app.openapi(routes.createSandboxRoute, async (c) => {
    const { cpu, network, template, snapshot, ...body } = c.req.valid('json');
    const idempotencyKey = c.req.valid('header')['idempotency-key'];
    const { sandbox, replayed } = await createSandbox(contextOf(c), {
      ...plainSandbox,
      ...body,
      template: template ?? 'base',
      snapshotId: snapshot,
      cpus: cpu,
      network,
      idempotencyKey,
    });
    if (replayed) c.header('idempotency-replayed', 'true');
    c.header('location', `/v1/sandboxes/${sandbox.id}`);
    return c.json(viewSandbox(sandbox), 201);
  });

  app.openapi(routes.listSandboxesRoute, async (c) => {
    const { state, metadata, template, startedAfter, total, ...page } = c.req.valid('query');
    const ctx = contextOf(c);
    const pairs = (metadata ?? []).map((pair) => {
      const at = pair.indexOf('=');
      return [pair.slice(0, at), pair.slice(at + 1)] as const;
    });
    const startedAfterMs = startedAfter === undefined ? undefined : Date.parse(startedAfter);
    const filter = { states: state ?? [], metadata: pairs, template, startedAfterMs };
    const [{ sandboxes, nextCursor }, counted] = await Promise.all([
      listSandboxes(ctx, { ...filter, by: page.by, order: page.order, cursor: page.cursor, limit: page.limit }),
      total ? countSandboxes(ctx, filter) : undefined,
    ]);
    return c.json(
      { sandboxes: sandboxes.map(viewSandbox), nextCursor, ...(counted === undefined ? {} : { total: counted }) },
      200,
    );
  });

  app.openapi(routes.getSandboxRoute, async (c) =>
    c.json(viewSandbox(await getSandbox(contextOf(c), c.req.valid('param').sandboxId)), 200),
  );

  app.openapi(routes.changeSandboxRoute, async (c) => {
    const sandbox = await changeMetadata(contextOf(c), c.req.valid('param').sandboxId, c.req.valid('json').metadata);
    return c.json(viewSandbox(sandbox), 200);
  });

  app.openapi(routes.endSandboxRoute, async (c) => {
    const sandbox = await endSandbox(contextOf(c), c.req.valid('param').sandboxId, c.req.valid('query').graceSeconds);
    return sandbox.state === 'ended' ? c.json(viewSandbox(sandbox), 200) : c.json(viewSandbox(sandbox), 202);
  });

  app.openapi(lifecycle.setTimeoutRoute, async (c) => {
    const { timeoutSeconds, onlyExtend } = c.req.valid('json');
    const change = onlyExtend ? extendDeadline : setDeadline;
    const sandbox = await change(contextOf(c), c.req.valid('param').sandboxId, timeoutSeconds);
    return c.json(viewSandbox(sandbox), 200);
  });

  app.openapi(lifecycle.pauseSandboxRoute, async (c) => {
    const { sandbox, ...memory } = await pauseSandbox(
      contextOf(c),
      c.req.valid('param').sandboxId,
      c.req.valid('json').memory ?? true,
    );
    return c.json({ ...viewSandbox(sandbox), ...memory }, 200);
  });

  app.openapi(lifecycle.resumeSandboxRoute, async (c) => {
    const { timeoutSeconds, memory } = c.req.valid('json');
    const sandbox = await resumeSandbox(contextOf(c), c.req.valid('param').sandboxId, timeoutSeconds, memory);
    return c.json(viewSandbox(sandbox), 200);
  });

  app.openapi(lifecycle.connectSandboxRoute, async (c) => {
    const { timeoutSeconds, memory } = c.req.valid('json');
    const { sandboxId } = c.req.valid('param');
    const { sandbox, resumed } = await connectSandbox(contextOf(c), sandboxId, timeoutSeconds, memory);
    return c.json({ ...viewSandbox(sandbox), resumed }, 200);
  });

  app.openapi(lifecycle.changeNetworkRoute, async (c) => {
    const sandbox = await updateNetwork(contextOf(c), c.req.valid('param').sandboxId, c.req.valid('json'));
    return c.json(viewSandbox(sandbox), 200);
  });
};
