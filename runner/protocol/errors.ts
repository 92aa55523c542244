import { z } from 'zod';
import { limits } from './limits.ts';

/** What a runner can answer instead of a result. The control plane maps each to its own table, totally. */
export const runnerErrorCodes = [
  'invalid_argument',
  'sandbox_not_found', // not on this runner, or with another epoch: the route is stale
  'sandbox_ended', // while this was under way
  'sandbox_not_running', // paused, being made
  'stale_revision',
  'process_not_found',
  'process_exists',
  'too_many_processes',
  'stdin_closed',
  'not_a_pty',
  'user_not_found',
  'cwd_not_found',
  'not_started', // refused past startBy: it will not run later
  'agent_unavailable',
  'deadline_exceeded',
  'file_not_found',
  'file_exists',
  'not_a_file',
  'not_a_directory',
  'directory_not_empty',
  'file_permission_denied',
  'file_too_large',
  'range_not_satisfiable',
  'no_space',
  'upload_not_found',
  'watcher_not_found',
  'conflict', // with what there is, whatever it is
  'too_many_watches',
  'port_not_open', // nothing listens there
  'port_failed', // what listens there broke off, or doesn't speak HTTP
  'too_many_connections',
  'transfer_failed',
  'template_unavailable',
  'image_unsupported', // the agent cannot run in this image
  'snapshot_unavailable', // neither here nor where its bytes should be
  'snapshot_corrupt',
  'snapshot_too_large',
  'not_supported', // by this node
  'capacity_exhausted',
  'engine_failed',
  'internal',
] as const;

export type RunnerErrorCode = (typeof runnerErrorCodes)[number];

export const runnerFault = z.object({
  code: z.enum(runnerErrorCodes),
  /** One sentence for the caller: what was wrong and what to do. Never host paths, addresses or stack traces. */
  message: z.string().max(2000),
  /** The sandbox's file that it is about, absolute. */
  path: z.string().max(limits.pathBytes).optional(),
});
export type RunnerFault = z.infer<typeof runnerFault>;

/** Thrown on the runner's side of the wire; becomes an `error` event. Its cause is logged, never sent. */
export class RunnerError extends Error {
  readonly code: RunnerErrorCode;
  readonly path: string | undefined;
  constructor(code: RunnerErrorCode, message: string, options?: ErrorOptions & { path?: string | undefined }) {
    super(message, options);
    this.name = 'RunnerError';
    this.code = code;
    this.path = options?.path;
  }
}
