import type { RunnerErrorCode, RunnerFault } from '../../runner/protocol/errors.ts';

/** code → HTTP status: the one table. Dialects render the same codes in their own envelopes. */
export const errorStatus = {
  invalid_argument: 400,
  unauthenticated: 401,
  permission_denied: 403,
  not_found: 404,
  method_not_allowed: 405,
  conflict: 409,
  sandbox_not_running: 409,
  sandbox_ended: 410,
  precondition_failed: 412,
  payload_too_large: 413,
  unsupported_media_type: 415,
  range_not_satisfiable: 416,
  idempotency_mismatch: 422,
  rate_limited: 429,
  /** Into a sandbox, or of a tenant, at once: one has to end first. */
  too_many_connections: 429,
  quota_exceeded: 429,
  internal: 500,
  not_implemented: 501,
  /** The runner was lost after it had accepted, or with the change of a sandbox in its queue: it may have run, or may yet. */
  runner_lost: 502,
  /** Output could not be delivered whole; attaching again is safe. */
  stream_lost: 502,
  transfer_failed: 502,
  /** Nothing listens on this port of the sandbox. */
  port_not_open: 502,
  /** What listens there broke off, or does not speak HTTP. */
  port_failed: 502,
  capacity_exhausted: 503,
  /** Not delivered in time; it did not run and will not run later. */
  not_started: 503,
  unavailable: 503,
  deadline_exceeded: 504,
  file_not_found: 404,
  watcher_not_found: 404,
  file_exists: 409,
  not_a_file: 400,
  not_a_directory: 400,
  directory_not_empty: 409,
  file_permission_denied: 403,
  file_too_large: 413,
  insufficient_storage: 507,
  process_not_found: 404,
  too_many_processes: 429,
  stdin_closed: 409,
  user_not_found: 400,
  cwd_not_found: 400,
  template_unavailable: 503,
  image_unsupported: 422,
  /** Its bytes are not those that were written. */
  snapshot_corrupt: 500,
  snapshot_too_large: 413,
} as const satisfies Record<string, number>;

export type ErrorCode = keyof typeof errorStatus;

/** What a caller may be told. `cause` stays inside: it is logged with the request id. */
export class ServiceError extends Error {
  readonly code: ErrorCode;
  /** Seconds; rendered as Retry-After. */
  readonly retryAfterSeconds: number | undefined;
  /** Field-level problems of a bad request. */
  readonly issues: readonly { path: string; message: string }[] | undefined;
  /** The sandbox's file that it is about, absolute: for dialects that say it in other words. */
  readonly filePath: string | undefined;
  /** The runner's own word, where it is that. */
  readonly runnerCode: RunnerErrorCode | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: {
      cause?: unknown;
      retryAfterSeconds?: number;
      issues?: readonly { path: string; message: string }[];
      filePath?: string | undefined;
      runnerCode?: RunnerErrorCode | undefined;
    } = {},
  ) {
    super(message, { cause: options.cause });
    this.name = 'ServiceError';
    this.code = code;
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.issues = options.issues;
    this.filePath = options.filePath;
    this.runnerCode = options.runnerCode;
  }

  get status(): number {
    return errorStatus[this.code];
  }
}

/** Total: a new runner code does not compile until it is mapped. */
const fromRunner: Record<RunnerErrorCode, ErrorCode> = {
  invalid_argument: 'invalid_argument',
  sandbox_not_found: 'sandbox_ended',
  sandbox_ended: 'sandbox_ended',
  sandbox_not_running: 'sandbox_not_running',
  stale_revision: 'conflict',
  process_not_found: 'process_not_found',
  process_exists: 'conflict',
  too_many_processes: 'too_many_processes',
  stdin_closed: 'stdin_closed',
  not_a_pty: 'invalid_argument',
  user_not_found: 'user_not_found',
  cwd_not_found: 'cwd_not_found',
  not_started: 'not_started',
  agent_unavailable: 'unavailable',
  deadline_exceeded: 'deadline_exceeded',
  file_not_found: 'file_not_found',
  file_exists: 'file_exists',
  not_a_file: 'not_a_file',
  not_a_directory: 'not_a_directory',
  directory_not_empty: 'directory_not_empty',
  file_permission_denied: 'file_permission_denied',
  file_too_large: 'file_too_large',
  range_not_satisfiable: 'range_not_satisfiable',
  no_space: 'insufficient_storage',
  upload_not_found: 'not_found',
  watcher_not_found: 'watcher_not_found',
  conflict: 'conflict',
  too_many_watches: 'rate_limited',
  port_not_open: 'port_not_open',
  port_failed: 'port_failed',
  too_many_connections: 'too_many_connections',
  transfer_failed: 'transfer_failed',
  template_unavailable: 'template_unavailable',
  image_unsupported: 'image_unsupported',
  snapshot_unavailable: 'not_found',
  snapshot_corrupt: 'snapshot_corrupt',
  snapshot_too_large: 'snapshot_too_large',
  not_supported: 'not_implemented',
  capacity_exhausted: 'capacity_exhausted',
  engine_failed: 'internal',
  internal: 'internal',
};

const retryable: Partial<Record<ErrorCode, number>> = { not_started: 1, unavailable: 1, capacity_exhausted: 5 };

export const errorFromRunner = (fault: RunnerFault): ServiceError => {
  const code = fromRunner[fault.code];
  const message =
    code === 'internal' ? 'The runner failed to do this. The request id identifies it in the logs.' : fault.message;
  const retryAfterSeconds = retryable[code];
  return new ServiceError(code, message, {
    cause: fault,
    filePath: fault.path,
    runnerCode: fault.code,
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
  });
};
