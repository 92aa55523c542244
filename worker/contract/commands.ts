import { createRoute, z } from '@hono/zod-openapi';
import { errorResponses, jsonBody, sandboxParams } from './common.ts';
import {
  commandInput,
  cwdInput,
  encodingInput,
  envInput,
  executionBounds,
  exitFields,
  outputEncodings,
  processIdText,
  stdinBase64Input,
  stdinInput,
  timeoutMsInput,
  userName,
} from './execution.ts';

export const execRequest = z
  .strictObject({
    command: commandInput,
    login: z.boolean().default(false).openapi({ description: 'Shell strings only: read the profile files.' }),
    cwd: cwdInput.optional(),
    env: envInput.default({}),
    user: userName.default('user'),
    stdin: stdinInput.optional(),
    stdinBase64: stdinBase64Input.optional(),
    timeoutMs: timeoutMsInput.default(executionBounds.timeoutDefaultMs).openapi({
      description:
        'After this many milliseconds the whole process group is ended: the answer has exitCode 124, reason `deadline` and what was printed until then. At most 24 hours.',
      example: 60_000,
    }),
    outputLimitBytes: z
      .int()
      .min(0)
      .max(executionBounds.outputMaxBytes, 'outputLimitBytes is at most 16 MiB; stream the output for more')
      .optional()
      .openapi({
        description:
          'What is kept of each of stdout and stderr, at most 16 MiB; the rest is counted and dropped. Absent: 1 MiB, and no limit for an event stream.',
      }),
    encoding: encodingInput.default('utf8'),
    session: z
      .string()
      .regex(/^[A-Za-z0-9_.-]{1,64}$/, 'a session’s name has 1 to 64 of A-Z, a-z, 0-9, _, . and -')
      .optional()
      .openapi({
        description: `Commands of one session (of one user) run one after another, in the order in which they came, and \`cd\`, \`export\` and
\`unset\` persist from one to the next: how the shell ended doesn't matter, unless a signal, its deadline or \`exec\` ended it, or \`exit\` under an
EXIT trap of its own; then what the command before it left holds. Each is still a shell of its own: options, functions, traps and variables that were
not exported end with it, and so does \`env\`. \`cwd\` persists. A directory that is gone by then is replaced by the default. An argv is run with the
session's state and doesn't change it. State over 256 KiB is not taken over; of more than 64 sessions the one that was idle for longest is forgotten. timeoutMs
includes the wait. At most 32 commands wait in a session, 16 MiB in all: then 429. Absent: the command depends on no other.`,
        example: 'main',
      }),
    sessionCwd: cwdInput.optional().openapi({
      description:
        'Where the session begins, and where it goes on when its directory is gone. Absent: the sandbox’s default.',
    }),
  })
  .refine((body) => body.stdin === undefined || body.stdinBase64 === undefined, {
    path: ['stdinBase64'],
    message: 'give stdin or stdinBase64, not both',
  })
  .refine((body) => !body.login || typeof body.command === 'string', {
    path: ['login'],
    message: 'login needs a shell string: an argv is run without a shell',
  })
  .openapi('ExecRequest');

export const execResult = z
  .object({
    processId: processIdText,
    stdout: z.string().openapi({ example: 'hello\n' }),
    stderr: z.string().openapi({ example: '' }),
    encoding: z.enum(outputEncodings),
    ...exitFields,
    truncated: z
      .boolean()
      .openapi({ description: 'Some output was dropped because of outputLimitBytes.', example: false }),
  })
  .openapi('ExecResult');

const streamDescription = `With \`Accept: text/event-stream\` the answer is a stream of server-sent events instead:
\`started\` {processId, pid} (at once also for a command that waits in its session: then the pid is not its own yet);
\`stdout\`, \`stderr\` {data, encoding}; \`lagged\` {droppedBytes, detached} when this reader missed output;
\`exit\` (ProcessExit), the last one; \`error\` {code, message} when the stream can't go on. The \`id\` of an event is the offset in the
process's output after it: GET …/processes/{processId}/events with it as Last-Event-ID goes on from there. A comment is sent every 5 s.`;

const execRoute = createRoute({
  method: 'post',
  path: '/v1/sandboxes/{sandboxId}/exec',
  operationId: 'exec',
  tags: ['commands'],
  summary: 'Run a command to its end',
  description: `Runs a command and answers with its output. A non-zero exit code is a result (200), not an error. A client that goes away
does not end the command. The command is not retried by the service: 503 \`not_started\` means that it did not run and will not run later;
502 \`runner_lost\` means that it may have run. An answer ends with the command's process, not with descendants that hold its output open.

${streamDescription}`,
  request: { params: sandboxParams, body: jsonBody(execRequest) },
  responses: {
    200: {
      description: 'The command ended.',
      content: {
        'application/json': { schema: execResult },
        'text/event-stream': { schema: z.string().openapi({ description: 'Server-sent events.' }) },
      },
    },
    ...errorResponses([404, 409, 410, 413, 502]),
  },
});

export const commandRoutes = { exec: execRoute };
