import { z } from '@hono/zod-openapi';

/** What running a command and starting a process have in common. Sizes are UTF-8 bytes. */
export const executionBounds = {
  commandBytes: 1024 * 1024,
  /** One argument or variable of a Linux execve; a shell string has no such limit. */
  argumentBytes: 128 * 1024 - 1,
  argvCount: 4096,
  envCount: 512,
  envBytes: 256 * 1024,
  pathBytes: 4096,
  stdinBytes: 256 * 1024,
  outputDefaultBytes: 1024 * 1024,
  outputMaxBytes: 16 * 1024 * 1024,
  timeoutDefaultMs: 60_000,
  timeoutMaxMs: 24 * 3600 * 1000,
} as const;

const encoder = new TextEncoder();

/** UTF-8 never takes more than three bytes for a UTF-16 unit, so most strings need no encoding to be measured. */
export const fitsBytes = (text: string, maxBytes: number): boolean =>
  text.length * 3 <= maxBytes || (text.length <= maxBytes && encoder.encode(text).length <= maxBytes);

const plain = (text: string): boolean => !text.includes('\0') && text.isWellFormed();
const plainMessage = (what: string): string => `${what} cannot contain NUL or half of a surrogate pair`;

export const pathOf = (what: string) =>
  z
    .string()
    .min(1, `${what} must not be empty`)
    .refine(
      (path) => fitsBytes(path, executionBounds.pathBytes),
      `${what} is at most ${executionBounds.pathBytes} bytes long`,
    )
    .refine(plain, plainMessage(what));

export const sandboxPath = pathOf('a path').openapi({
  description: `A path inside the sandbox: absolute, or relative to the user's home. At most ${executionBounds.pathBytes} bytes, no NUL.`,
  example: '/home/user/data.csv',
});

export const userName = z
  .string()
  .regex(
    /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/,
    'user is a name or a number as /etc/passwd has it, at most 64 characters',
  )
  .openapi({ description: 'The account inside the sandbox, by name or uid.', example: 'user' });

export const shellScript = z
  .string()
  .min(1, 'command must not be empty')
  .refine(
    (script) => fitsBytes(script, executionBounds.commandBytes),
    'a command string is at most 1 MiB: write it to a file and run that',
  )
  .refine(plain, plainMessage('a command'));

export const argvInput = z
  .array(
    z
      .string()
      .refine(
        (argument) => fitsBytes(argument, executionBounds.argumentBytes),
        'one argument of an argv is at most 131071 bytes (Linux): pass it as a shell string or by stdin',
      )
      .refine(plain, plainMessage('an argument')),
  )
  .min(1, 'an argv has at least the program')
  .max(executionBounds.argvCount, `an argv has at most ${executionBounds.argvCount} arguments`)
  .refine((items) => items[0] !== '', 'the program of an argv must not be empty')
  .refine(
    (items) => fitsBytes(items.join('\0'), executionBounds.commandBytes),
    'the arguments of an argv are at most 1 MiB together',
  );

export const commandInput = z
  .union([shellScript, argvInput], { error: 'command is a shell string or an array of arguments' })
  .openapi({
    description:
      'A string is run by the image’s bash (sh where there is none) and may be 1 MiB long. An array is an argv, run without a shell.',
    example: 'echo hello; exit 3',
  });

export const envInput = z
  .record(
    z.string().regex(/^[^=\0]{1,256}$/, 'a variable name has 1 to 256 characters, without = and NUL'),
    z
      .string()
      .refine(
        (value) => fitsBytes(value, executionBounds.argumentBytes - 257),
        'the value of a variable is at most 128 KiB (Linux)',
      )
      .refine(plain, plainMessage('the value of a variable')),
  )
  .refine(
    (env) => Object.keys(env).length <= executionBounds.envCount,
    `env has at most ${executionBounds.envCount} variables`,
  )
  .refine(
    (env) => fitsBytes(Object.entries(env).join('\0'), executionBounds.envBytes),
    `env is at most ${executionBounds.envBytes} bytes`,
  )
  .openapi({
    description: 'Added to the sandbox’s environment for this process. At most 512 variables and 256 KiB.',
    example: { LANG: 'C.UTF-8' },
  });

export const cwdInput = pathOf('cwd').openapi({
  description: 'Working directory: absolute, or relative to the user’s home. Absent: the sandbox’s default.',
  example: '/workspace',
});

const base64Text = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
export const stdinBase64Input = z
  .string()
  .max((Math.ceil(executionBounds.stdinBytes / 3) + 1) * 4, 'stdin is at most 256 KiB here')
  .regex(base64Text, 'stdinBase64 is not base64 (RFC 4648 section 4, padded)')
  .openapi({ description: 'Bytes for standard input, base64. At most 256 KiB.', example: 'AAEC' });

export const stdinInput = z
  .string()
  .refine(
    (text) => fitsBytes(text, executionBounds.stdinBytes),
    'stdin is at most 256 KiB here: start a process and write to it, or upload a file',
  )
  .openapi({ description: 'Text for standard input, written as UTF-8; then standard input ends. At most 256 KiB.' });

export const timeoutMsInput = z
  .int('timeoutMs is a whole number of milliseconds')
  .min(1, 'timeoutMs is at least 1')
  .max(executionBounds.timeoutMaxMs, `timeoutMs is at most ${executionBounds.timeoutMaxMs} (24 hours)`);

export const outputEncodings = ['utf8', 'base64'] as const;
export const encodingInput = z.enum(outputEncodings).openapi({
  description: '`utf8` replaces what is not valid UTF-8 by U+FFFD; `base64` is exact.',
  example: 'utf8',
});

export const processIdText = z
  .string()
  .regex(/^[0-9a-f]{32}$/, 'a process id is 32 lowercase hexadecimal digits')
  .openapi({ example: '6f1b6b1c0f7e4d5f8a9b0c1d2e3f4a5b' });

export const exitReasons = ['exited', 'signalled', 'deadline', 'killed', 'oom', 'sandbox_ended'] as const;

export const exitFields = {
  exitCode: z
    .int()
    .min(0)
    .max(255)
    .nullable()
    .openapi({ description: 'As the command gave it; 124 at its deadline; null when a signal ended it.', example: 0 }),
  signal: z.string().nullable().openapi({ description: 'SIGKILL …, when a signal ended it.', example: null }),
  reason: z.enum(exitReasons).openapi({ description: 'Why it ended.', example: 'exited' }),
  timedOut: z.boolean().openapi({ description: 'It was ended at its own deadline (timeoutMs).', example: false }),
  durationMs: z.number().min(0).openapi({ example: 1.9 }),
  droppedStdoutBytes: z
    .int()
    .min(0)
    .openapi({ description: 'Produced past outputLimitBytes and not kept.', example: 0 }),
  droppedStderrBytes: z.int().min(0).openapi({ example: 0 }),
};
export const processExitView = z.object(exitFields).openapi('ProcessExit');
