import { createRoute, z } from '@hono/zod-openapi';
import { errorResponses, jsonBody, jsonContent, sandboxParams, timestamp } from './common.ts';
import {
  commandInput,
  cwdInput,
  encodingInput,
  envInput,
  processExitView,
  processIdText,
  stdinBase64Input,
  stdinInput,
  timeoutMsInput,
  userName,
} from './execution.ts';

const tags = ['processes'];

type ProcessSelector = { processId: string } | { pid: number } | { tag: string };
const selectorText = /^(?:([0-9a-f]{32})|pid:([1-9]\d{0,9})|tag:(.{0,256}))$/su;

const selectorOf = (text: string, refuse: z.RefinementCtx): ProcessSelector => {
  const [, processId, pid, tag] = selectorText.exec(text) ?? [];
  if (processId !== undefined) return { processId };
  if (pid !== undefined && Number(pid) <= 0xffffffff) return { pid: Number(pid) };
  if (tag !== undefined) return { tag };
  refuse.addIssue('a process is named by its id (32 lowercase hexadecimal digits), by pid:<number> or by tag:<tag>');
  return z.NEVER;
};

const processParams = sandboxParams.extend({
  processId: z
    .string()
    .transform(selectorOf)
    .openapi({
      type: 'string',
      param: { name: 'processId', in: 'path' },
      description: `Its id, or \`pid:42\`, or \`tag:server\` (percent-encoded). By pid or tag the youngest one that runs is meant; where only
something is read, and none runs, the one that ended last.`,
      example: '6f1b6b1c0f7e4d5f8a9b0c1d2e3f4a5b',
    }),
});
const base = '/v1/sandboxes/{sandboxId}/processes';

const size = (what: string) => z.int().min(1).max(1000, `${what} is at most 1000`);
export const ptySize = z
  .strictObject({ cols: size('cols'), rows: size('rows') })
  .openapi('PtySize', { example: { cols: 80, rows: 24 } });

export const signalNames = [
  'SIGHUP',
  'SIGINT',
  'SIGQUIT',
  'SIGKILL',
  'SIGUSR1',
  'SIGUSR2',
  'SIGTERM',
  'SIGCONT',
  'SIGSTOP',
  'SIGTSTP',
  'SIGWINCH',
] as const;

export const startProcessRequest = z
  .strictObject({
    command: commandInput,
    login: z.boolean().default(false).openapi({ description: 'Shell strings only: read the profile files.' }),
    cwd: cwdInput.optional(),
    env: envInput.default({}),
    user: userName.default('user'),
    pty: ptySize.optional().openapi({ description: 'A terminal of this size instead of pipes.' }),
    stdin: stdinInput.optional().openapi({ description: 'Written first. At most 256 KiB.' }),
    stdinBase64: stdinBase64Input.optional(),
    stdinOpen: z.boolean().optional().openapi({
      description:
        'Keep standard input open to be written to later. Absent: open, unless stdin or stdinBase64 is given. A terminal is always open.',
    }),
    timeoutMs: timeoutMsInput.optional().openapi({
      description:
        'Ends the whole process group after this many milliseconds. Absent: it lives as long as the sandbox.',
    }),
    tag: z.string().max(256).optional().openapi({ description: 'A name of your own, shown in lists.' }),
  })
  .refine((body) => body.stdin === undefined || body.stdinBase64 === undefined, {
    path: ['stdinBase64'],
    message: 'give stdin or stdinBase64, not both',
  })
  .refine((body) => !body.login || typeof body.command === 'string', {
    path: ['login'],
    message: 'login needs a shell string: an argv is run without a shell',
  })
  .refine((body) => body.pty === undefined || body.stdinOpen !== false, {
    path: ['stdinOpen'],
    message: 'the standard input of a terminal stays open; write \\u0004 to it instead',
  })
  .openapi('StartProcessRequest');

export const startedProcess = z
  .object({ processId: processIdText, pid: z.int().min(1).openapi({ example: 42 }) })
  .openapi('StartedProcess');

export const processView = z
  .object({
    processId: processIdText,
    pid: z.int().min(1).openapi({ example: 42 }),
    command: z.string().openapi({ description: 'At most 1024 characters of it.' }),
    cwd: z.string(),
    user: z.string(),
    pty: z.boolean(),
    tag: z.string().nullable(),
    startedAt: timestamp,
    outputBytes: z.int().min(0).openapi({ description: 'All output so far, kept or not.' }),
    running: z.boolean(),
    exit: processExitView.nullable(),
  })
  .openapi('Process');

const startProcessRoute = createRoute({
  method: 'post',
  path: base,
  operationId: 'startProcess',
  tags,
  summary: 'Start a process in the background',
  description: `Answers once it has a pid. Up to 256 processes run at once in a sandbox. The last 1 MiB of its output is kept for readers; an
ended process stays known for 30 seconds.`,
  request: { params: sandboxParams, body: jsonBody(startProcessRequest) },
  responses: {
    201: { description: 'It runs.', ...jsonContent(startedProcess) },
    ...errorResponses([404, 409, 410, 413, 502]),
  },
});

const listProcessesRoute = createRoute({
  method: 'get',
  path: base,
  operationId: 'listProcesses',
  tags,
  summary: 'List processes',
  description: 'Those that exec and this resource started, running or ended within the last 30 seconds.',
  request: { params: sandboxParams },
  responses: {
    200: { description: 'Processes.', ...jsonContent(z.object({ processes: z.array(processView) })) },
    ...errorResponses([404, 409, 410]),
  },
});

const getProcessRoute = createRoute({
  method: 'get',
  path: `${base}/{processId}`,
  operationId: 'getProcess',
  tags,
  summary: 'Read a process',
  request: { params: processParams },
  responses: {
    200: { description: 'The process.', ...jsonContent(processView) },
    ...errorResponses([404, 409, 410]),
  },
});

const offset = z
  .string()
  .regex(/^\d{1,15}$/, 'an offset is a whole number of bytes')
  .transform(Number)
  .openapi({ type: 'integer', minimum: 0 });

const fromOffset = z
  .string()
  .regex(/^(\d{1,15}|end)$/, 'fromOffset is a whole number of bytes, or end')
  .transform((text) => (text === 'end' ? text : Number(text)))
  .openapi({ type: 'string', pattern: '^([0-9]{1,15}|end)$' });

const processEventsRoute = createRoute({
  method: 'get',
  path: `${base}/{processId}/events`,
  operationId: 'streamProcessEvents',
  tags,
  summary: 'Stream a process’s output',
  description: `Server-sent events: \`started\` {processId, pid}; \`stdout\`, \`stderr\` (pipes) or \`pty\` {data, encoding}; \`lagged\` {droppedBytes,
detached}: so many bytes were missed; \`exit\` (ProcessExit), the last one; \`error\` {code, message}. The \`id\` of an event is the offset in the
process's output after it. With Last-Event-ID (or fromOffset; the header wins) the stream goes on from there. The last 1 MiB is kept:
what is older is told as \`lagged\`. A reader that takes nothing for 30 seconds is detached. The process lives on when its readers go.`,
  request: {
    params: processParams,
    query: z.strictObject({
      fromOffset: fromOffset.optional().openapi({
        description: 'First byte wanted, or `end`: only what comes from now on. Absent: all that is kept.',
        example: '0',
      }),
      encoding: encodingInput.default('utf8'),
    }),
    headers: z.object({
      'last-event-id': offset.optional().openapi({ description: 'As an EventSource sends it when it comes back.' }),
    }),
  },
  responses: {
    200: {
      description: 'Events until the process ends.',
      content: { 'text/event-stream': { schema: z.string() } },
    },
    ...errorResponses([404, 409, 410, 502]),
  },
});

const writeStdinRoute = createRoute({
  method: 'post',
  path: `${base}/{processId}/stdin`,
  operationId: 'writeStdin',
  tags,
  summary: 'Write to standard input',
  description: `The request's body is written as it is, whatever its Content-Type. Answers once the sandbox has taken it; a process that does not
read holds its writers back, for 8 seconds at most: then deadline_exceeded says how much was taken, and the rest can be sent again. At most
64 MiB a request. Up to 256 KiB are taken whole or not at all. Requests sent one after the other are written in their order. After
transfer_failed it is not known whether the last 256 KiB were taken.`,
  request: {
    params: processParams,
    body: { required: true, content: { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } } },
  },
  responses: {
    200: { description: 'Written.', ...jsonContent(z.object({ writtenBytes: z.int().min(0) })) },
    ...errorResponses([404, 409, 410, 413, 502, 504]),
  },
});

const closeStdinRoute = createRoute({
  method: 'post',
  path: `${base}/{processId}/stdin/close`,
  operationId: 'closeStdin',
  tags,
  summary: 'End standard input',
  request: { params: processParams },
  responses: { 204: { description: 'Ended.' }, ...errorResponses([404, 409, 410, 502, 504]) },
});

const resizeRoute = createRoute({
  method: 'post',
  path: `${base}/{processId}/resize`,
  operationId: 'resizeTerminal',
  tags,
  summary: 'Resize the terminal',
  request: { params: processParams, body: jsonBody(ptySize) },
  responses: { 204: { description: 'Resized.' }, ...errorResponses([404, 409, 410, 502, 504]) },
});

const signalRoute = createRoute({
  method: 'post',
  path: `${base}/{processId}/signal`,
  operationId: 'signalProcess',
  tags,
  summary: 'Send a signal to the process group',
  request: {
    params: processParams,
    body: jsonBody(z.strictObject({ signal: z.enum(signalNames) }).openapi('SignalRequest')),
  },
  responses: { 204: { description: 'Sent.' }, ...errorResponses([404, 409, 410, 502, 504]) },
});

const waitRoute = createRoute({
  method: 'get',
  path: `${base}/{processId}/wait`,
  operationId: 'waitForProcess',
  tags,
  summary: 'Wait until a process has ended',
  description: 'Answers as soon as it has ended, or after timeoutMs with `running: true` and no exit: then ask again.',
  request: {
    params: processParams,
    query: z.strictObject({
      timeoutMs: z
        .string()
        .regex(/^\d{1,6}$/, 'timeoutMs is a whole number of milliseconds')
        .transform(Number)
        .pipe(z.int().min(1, 'timeoutMs is at least 1').max(300_000, 'timeoutMs is at most 300000 (5 minutes)'))
        .default(30_000)
        .openapi({ type: 'integer', minimum: 1, maximum: 300_000, description: 'Milliseconds, at most five minutes.' }),
    }),
  },
  responses: {
    200: {
      description: 'Ended, or still running.',
      ...jsonContent(
        z
          .object({ processId: processIdText, running: z.boolean(), exit: processExitView.nullable() })
          .openapi('WaitResult'),
      ),
    },
    ...errorResponses([404, 409, 410, 502]),
  },
});

export const processRoutes = {
  start: startProcessRoute,
  list: listProcessesRoute,
  get: getProcessRoute,
  events: processEventsRoute,
  writeStdin: writeStdinRoute,
  closeStdin: closeStdinRoute,
  resize: resizeRoute,
  signal: signalRoute,
  wait: waitRoute,
};
