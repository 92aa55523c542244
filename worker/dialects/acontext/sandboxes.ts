import { z } from 'zod';
import { contextOf } from '../../api/context.ts';
import { executionBounds, shellScript } from '../../contract/execution.ts';
import { runCommand } from '../../core/commands/run-command.ts';
import { publicStateOf } from '../../core/sandbox-state.ts';
import { createSandbox, plainSandbox } from '../../core/sandboxes/create-sandbox.ts';
import { endSandbox } from '../../core/sandboxes/end-sandbox.ts';
import { getSandbox } from '../../core/sandboxes/get-sandbox.ts';
import { listHistories } from '../../core/sandboxes/list-histories.ts';
import { sandboxRefOf } from '../../core/sandboxes/sandbox-ref.ts';
import { succeed } from './envelope.ts';
import { viewExec } from './exit.ts';
import { pathId } from './ids.ts';
import { viewHistory, viewRuntime } from './sandbox-view.ts';
import { viewPage } from './page-view.ts';
import { pageQuery, readJson, readQuery } from './read-input.ts';
import type { AcontextRoute, Handled } from './route.ts';
import { inSandbox, sandboxGone, workingDirectory } from './sandbox.ts';

/** Acontext's create says nothing about the sandbox: it is this, or what the tenant's limits leave of it. */
const wanted = { ttlSeconds: 1800, cpus: 2, memoryMiB: 512 };
/** The SDKs give up after 32 s (Python) and 320 s (TypeScript) by default: a command is ended before the latter. */
const execSeconds = 300;

const create = async (c: Handled): Promise<Response> => {
  const ctx = contextOf(c);
  const { maxTtlSeconds, maxCpus, maxMemoryMiB } = ctx.actor.tenant;
  const { sandbox } = await createSandbox(ctx, {
    ...plainSandbox,
    template: 'base',
    timeoutSeconds: Math.min(wanted.ttlSeconds, maxTtlSeconds),
    timeoutMode: 'idle',
    metadata: {},
    env: {},
    cpus: Math.min(wanted.cpus, maxCpus),
    memoryMiB: Math.min(wanted.memoryMiB, maxMemoryMiB),
    network: undefined,
    idempotencyKey: undefined,
  });
  return succeed(c, 201, viewRuntime(sandbox));
};

const execBody = z.object({ command: shellScript });

const exec = async (c: Handled): Promise<Response> => {
  const ctx = contextOf(c);
  const sandboxId = pathId(c, 'sandbox_id');
  const { command } = await readJson(c, execBody);
  const result = await inSandbox(() =>
    runCommand(ctx, sandboxRefOf(ctx, sandboxId), {
      command,
      login: false,
      session: 'acontext',
      sessionCwd: workingDirectory,
      env: {},
      user: 'root',
      timeoutMs: execSeconds * 1000,
      outputLimitBytes: executionBounds.outputMaxBytes,
    }),
  );
  return succeed(c, 200, viewExec(result, execSeconds));
};

const kill = async (c: Handled): Promise<Response> => {
  const ctx = contextOf(c);
  const sandboxId = pathId(c, 'sandbox_id');
  await inSandbox(async () => {
    const state = publicStateOf(await getSandbox(ctx, sandboxId));
    if (state === 'ended' || state === 'ending') throw sandboxGone();
    await endSandbox(ctx, sandboxId, 0);
  });
  return succeed(c, 200, { status: 0, errmsg: '' });
};

const logs = async (c: Handled): Promise<Response> => {
  const { limit, cursor, time_desc: newestFirst } = readQuery(c, pageQuery);
  const order = newestFirst ? 'desc' : 'asc';
  const { histories, nextCursor } = await listHistories(contextOf(c), { order, cursor, limit });
  return succeed(c, 200, viewPage(histories.map(viewHistory), nextCursor));
};

export const sandboxRoutes: readonly AcontextRoute[] = [
  { method: 'POST', path: '/sandbox', body: 'optional-json', handler: create },
  { method: 'GET', path: '/sandbox/logs', body: 'none', handler: logs },
  { method: 'POST', path: '/sandbox/{sandbox_id}/exec', body: 'json', handler: exec },
  { method: 'DELETE', path: '/sandbox/{sandbox_id}', body: 'none', handler: kill },
];
