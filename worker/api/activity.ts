import { activityRoutes } from '../contract/activity.ts';
import { defaultRangeMs, getActivity } from '../core/tenants/get-activity.ts';
import type { App } from './app-env.ts';
import { contextOf } from './context.ts';
import { timestampOf } from './timestamp.ts';

export const registerActivity = (app: App): void => {
  app.openapi(activityRoutes.getActivity, async (c) => {
    const ctx = contextOf(c);
    const { from, to } = c.req.valid('query');
    const endMs = to === undefined ? ctx.now() : Date.parse(to);
    const startMs = from === undefined ? endMs - defaultRangeMs : Date.parse(from);
    const { stepMs, steps } = await getActivity(ctx, { startMs, endMs });
    return c.json(
      {
        stepSeconds: stepMs / 1000,
        steps: steps.map(({ atMs, concurrent, started }) => ({ at: timestampOf(atMs), concurrent, started })),
      },
      200,
    );
  });
};
