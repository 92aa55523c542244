import type { ProcessSpec } from '../../../runner/protocol/process.ts';
import { encodeBase64 } from '../base64.ts';
import { newProcessId } from '../ids.ts';

/** What a caller asks for, whichever transport it came by. Bounds were checked there; the runner checks the protocol's again. */
export interface CommandInput {
  /** A shell string or an argv. */
  command: string | readonly string[];
  /** Read the profile files; shell strings only. */
  login: boolean;
  cwd?: string | undefined;
  env: Readonly<Record<string, string>>;
  /** Outranked by the sandbox's own environment. */
  envDefaults?: Readonly<Record<string, string>> | undefined;
  user: string;
  /** Text is written as UTF-8. */
  stdin?: string | { base64: string } | undefined;
  timeoutMs?: number | undefined;
  outputLimitBytes?: number | undefined;
  /** Directory and exported variables persist from one command of this name to the next, which waits for it. */
  session?: string | undefined;
  sessionCwd?: string | undefined;
}

export interface ProcessInput extends CommandInput {
  /** Standard input stays open after `stdin` was written. */
  stdinOpen: boolean;
  pty?: { cols: number; rows: number } | undefined;
  tag?: string | undefined;
}

const base64Of = (stdin: NonNullable<CommandInput['stdin']>): string =>
  typeof stdin === 'string' ? encodeBase64(new TextEncoder().encode(stdin)) : stdin.base64;

/** Gives the process its id, so that a repeated delivery is recognised. */
export const processSpecOf = (input: ProcessInput): ProcessSpec => ({
  processId: newProcessId(),
  command:
    typeof input.command === 'string'
      ? { kind: 'shell', script: input.command, login: input.login }
      : { kind: 'argv', argv: [...input.command] },
  env: { ...input.env },
  user: input.user,
  stdin: input.stdin !== undefined || input.stdinOpen ? 'pipe' : 'null',
  stdinEnds: !input.stdinOpen,
  ...(input.envDefaults === undefined ? {} : { envDefaults: { ...input.envDefaults } }),
  ...(input.cwd === undefined ? {} : { cwd: input.cwd }),
  ...(input.stdin === undefined ? {} : { stdinBase64: base64Of(input.stdin) }),
  ...(input.pty === undefined ? {} : { pty: input.pty }),
  ...(input.timeoutMs === undefined ? {} : { timeoutMs: input.timeoutMs }),
  ...(input.outputLimitBytes === undefined ? {} : { outputLimitBytes: input.outputLimitBytes }),
  ...(input.tag === undefined ? {} : { tag: input.tag }),
  ...(input.session === undefined ? {} : { session: input.session }),
  ...(input.sessionCwd === undefined ? {} : { sessionCwd: input.sessionCwd }),
});
