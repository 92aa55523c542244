import { z } from '@hono/zod-openapi';
import { argvInput, cwdInput, envInput } from '../../../../contract/execution.ts';
import { decodeBase64 } from '../../../../core/base64.ts';

/** Messages of E2B's package `process`, as protobuf's JSON mapping spells them. */

const uint32 = z
  .union(
    [
      z.number(),
      z
        .string()
        .regex(/^\d{1,10}$/)
        .transform(Number),
    ],
    { error: 'a whole number is needed' },
  )
  .pipe(z.int().min(0).max(0xffffffff));

const bytes = z.string().transform((text, refuse) => {
  const decoded = decodeBase64(text);
  if (decoded) return decoded;
  refuse.addIssue('bytes are base64 (RFC 4648)');
  return z.NEVER;
});

/** The runner's bounds. */
const side = uint32.pipe(z.int().min(1).max(1000, 'a terminal has at most 1000 columns and rows'));
const pty = z.object({ size: z.object({ cols: side, rows: side }) });

const program = z
  .object({
    cmd: z.string(),
    args: z.array(z.string()).default([]),
    envs: envInput.default({}),
    cwd: z.union([z.literal(''), cwdInput]).optional(),
  })
  .transform(({ cmd, args, ...rest }, refuse) => {
    const parsed = argvInput.safeParse([cmd, ...args]);
    if (parsed.success) return { argv: [cmd, ...args], ...rest };
    refuse.addIssue(parsed.error.issues[0]?.message ?? 'not a command');
    return z.NEVER;
  });

export const startRequest = z.object({
  process: program,
  pty: pty.optional(),
  tag: z.string().max(256).optional(),
  /** Absent means open, as old SDKs expect it. */
  stdin: z.boolean().default(true),
});

const selector = z
  .object({ pid: uint32.optional(), tag: z.string().max(256).optional() })
  .refine(({ pid, tag }) => (pid === undefined) !== (tag === undefined), 'a process is selected by its pid or its tag');
export type Selector = z.output<typeof selector>;

export const selected = z.object({ process: selector });
export const updateRequest = selected.extend({ pty: pty.optional() });

const input = z
  .object({ stdin: bytes.optional(), pty: bytes.optional() })
  .refine(({ stdin, pty: typed }) => (stdin === undefined) !== (typed === undefined), 'input is stdin or pty')
  .transform(({ stdin, pty: typed }) => stdin ?? typed ?? new Uint8Array());
export const inputRequest = selected.extend({ input });

export const streamInputRequest = z
  .object({
    start: selected.optional(),
    data: z.object({ input }).optional(),
    keepalive: z.object({}).optional(),
  })
  .refine(
    ({ start, data, keepalive }) => [start, data, keepalive].filter((event) => event !== undefined).length === 1,
    'a message is start, data or keepalive',
  );

/** By name, or by number. */
export const signalRequest = selected.extend({
  signal: z
    .union([z.enum(['SIGNAL_UNSPECIFIED', 'SIGNAL_SIGTERM', 'SIGNAL_SIGKILL']), z.int()])
    .default('SIGNAL_UNSPECIFIED'),
});
