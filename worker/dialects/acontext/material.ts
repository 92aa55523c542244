import { answerMaterial } from '../../api/material.ts';
import type { Context } from '../../core/ports.ts';
import { acontextPath } from './path.ts';
import type { AcontextRoute } from './route.ts';

export const materialUrl = (ctx: Context, { token }: { token: string }): string =>
  `${ctx.publicUrl}${acontextPath}/material/${token}`;

export const materialRoutes: readonly AcontextRoute[] = [
  {
    method: 'GET',
    path: '/material/{token}',
    body: 'none',
    open: true,
    handler: (c) => answerMaterial(c, c.req.param('token') ?? ''),
  },
];
