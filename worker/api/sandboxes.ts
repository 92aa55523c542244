import * as routes from '../contract/sandboxes.ts';
import { changeMetadata } from '../core/sandboxes/change-metadata.ts';
import { createSandbox, plainSandbox } from '../core/sandboxes/create-sandbox.ts';
import { endSandbox } from '../core/sandboxes/end-sandbox.ts';
import { getSandbox } from '../core/sandboxes/get-sandbox.ts';
import { listSandboxes } from '../core/sandboxes/list-sandboxes.ts';
import { pauseSandbox } from '../core/sandboxes/pause-sandbox.ts';
import { resumeSandbox } from '../core/sandboxes/resume-sandbox.ts';
import { setDeadline } from '../core/sandboxes/set-deadline.ts';
import type { App } from './app-env.ts';
import { contextOf } from './context.ts';
import { viewSandbox } from './sandbox-view.ts';

export const registerSandboxes = (app: App): void => {
  app.openapi(routes.createSandboxRoute, async (c) => {
    const { cpu, network, ...body } = c.req.valid('json');
    const idempotencyKey = c.req.valid('header')['idempotency-key'];
    const { sandbox, replayed } = await createSandbox(contextOf(c), {
      ...plainSandbox,
      ...body,
      cpus: cpu,
      network,
      idempotencyKey,
    });
    if (replayed) c.header('idempotency-replayed', 'true');
    c.header('location', `/v1/sandboxes/${sandbox.id}`);
    return c.json(viewSandbox(sandbox), 201);
  });

  app.openapi(routes.listSandboxesRoute, async (c) => {
    const { state, metadata, order, cursor, limit } = c.req.valid('query');
    const pairs = (metadata ?? []).map((pair) => {
      const at = pair.indexOf('=');
      return [pair.slice(0, at), pair.slice(at + 1)] as const;
    });
    const input = { states: state ?? [], metadata: pairs, order, cursor, limit };
    const { sandboxes, nextCursor } = await listSandboxes(contextOf(c), input);
    return c.json({ sandboxes: sandboxes.map(viewSandbox), nextCursor }, 200);
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

  app.openapi(routes.setTimeoutRoute, async (c) => {
    const sandbox = await setDeadline(contextOf(c), c.req.valid('param').sandboxId, c.req.valid('json').timeoutSeconds);
    return c.json(viewSandbox(sandbox), 200);
  });

  app.openapi(routes.pauseSandboxRoute, async (c) => {
    const { sandbox, ...memory } = await pauseSandbox(contextOf(c), c.req.valid('param').sandboxId);
    return c.json({ ...viewSandbox(sandbox), ...memory }, 200);
  });

  app.openapi(routes.resumeSandboxRoute, async (c) => {
    const { timeoutSeconds } = c.req.valid('json');
    const sandbox = await resumeSandbox(contextOf(c), c.req.valid('param').sandboxId, timeoutSeconds);
    return c.json(viewSandbox(sandbox), 200);
  });
};
