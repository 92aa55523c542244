import { within } from '../clock.ts';
import { RunnerError } from '../protocol/errors.ts';
import type { ExecHandler } from './handler.ts';

const METRICS_MS = 10_000;

/** As the host sees it: nothing is asked of the sandbox. */
export const readMetrics: ExecHandler<'sandbox.metrics'> = async ({ engine }, _job, sandbox, conversation) => {
  const value = await within(engine.metrics(sandbox.home.containerId), METRICS_MS, tooSlow);
  conversation.send({ t: 'result', value });
  conversation.finish();
};

const tooSlow = () => new RunnerError('engine_failed', 'The container engine does not answer.');
