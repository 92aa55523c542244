import { statSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import type { Command, ProcessSpec } from '../../protocol/process.ts';
import { AgentFault } from './fault.ts';
import type { Identity } from './identity.ts';
import { mayAccess } from './libc.ts';
import { sessionShells } from './session-program.ts';

/** What is executed. `script` is handed over as descriptor 3; with `savesState` that is a file for a session's state, and `script` comes next. */
export interface Program {
  path: string;
  argv: string[];
  script?: string;
  savesState?: true;
}
/** A command that a shell would answer with a sentence on stderr and this exit code. */
export interface NotRunnable {
  exitCode: 126 | 127;
  message: string;
}

/** MAX_ARG_STRLEN: the kernel's bound on one argument, its final NUL included. */
const argumentBytesMax = 128 * 1024 - 1;
const shells = ['/bin/bash', '/usr/bin/bash', '/usr/local/bin/bash'];
const plainShell = '/bin/sh';
/**
 * For a script that no argument can hold: bash reads it from descriptor 3, closes that, and evaluates it, so that $0, LINENO and
 * stdin are those of `bash -c`. A plain sh has no way to read a whole file without a program, but can source it.
 */
const bashFromDescriptor =
  'IFS= read -r -d "" -u 3 __glovebox_script; exec 3<&-; eval "unset __glovebox_script; $__glovebox_script"';
const shFromDescriptor = '. /proc/self/fd/3';

/** Call it with the identity of the process's user: what that user may execute decides. */
export function resolveProgram(command: Command, path: string, cwd: string, inSession: boolean): Program | NotRunnable {
  return command.kind === 'shell'
    ? resolveShell(command.script, command.login, inSession)
    : resolveArgv(command.argv, path, cwd);
}

function resolveShell(script: string, login: boolean, inSession: boolean): Program | NotRunnable {
  if (script.includes('\0')) throw new AgentFault('invalid_argument', 'A command cannot contain NUL.');
  const bash = shells.find((candidate) => isExecutable(candidate));
  const shell = bash ?? plainShell;
  if (!isExecutable(shell))
    return { exitCode: 127, message: 'The image has no shell: neither bash nor /bin/sh was found.' };
  const options = login ? ['-l', '-c'] : ['-c'];
  const name = bash === undefined ? 'sh' : 'bash';
  const fits = Buffer.byteLength(script) <= argumentBytesMax;
  if (inSession) {
    const { argument, descriptor } = sessionShells[name];
    return fits
      ? { path: shell, argv: [name, ...options, argument, name, script], savesState: true }
      : { path: shell, argv: [name, ...options, descriptor], script, savesState: true };
  }
  if (fits) return { path: shell, argv: [name, ...options, script] };
  const loader = bash === undefined ? shFromDescriptor : bashFromDescriptor;
  return { path: shell, argv: [name, ...options, loader], script };
}

function resolveArgv(argv: string[], path: string, cwd: string): Program | NotRunnable {
  const [name = ''] = argv;
  if (argv.some((argument) => argument.includes('\0'))) {
    throw new AgentFault('invalid_argument', 'An argument cannot contain NUL.');
  }
  if (argv.some((argument) => Buffer.byteLength(argument) > argumentBytesMax)) {
    return { exitCode: 126, message: `${name.slice(0, 256)}: an argument is longer than 128 KiB` };
  }
  if (name === '') return { exitCode: 127, message: "'': command not found" };
  if (name.includes('/')) {
    const file = isAbsolute(name) ? name : join(cwd, name);
    if (isExecutable(file)) return { path: file, argv };
    return exists(file)
      ? { exitCode: 126, message: `${name}: permission denied` }
      : { exitCode: 127, message: `${name}: no such file or directory` };
  }
  let seen = false;
  for (const directory of path.split(':')) {
    const file = join(isAbsolute(directory) ? directory : join(cwd, directory), name);
    if (isExecutable(file)) return { path: file, argv };
    seen ||= exists(file);
  }
  return seen
    ? { exitCode: 126, message: `${name}: permission denied` }
    : { exitCode: 127, message: `${name}: command not found` };
}

function isExecutable(file: string): boolean {
  if (!mayAccess(file, 'execute')) return false;
  return statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;
}

function exists(file: string): boolean {
  try {
    return statSync(file, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return false;
  }
}

const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Defaults, then the sandbox's environment, then the process's own. */
export function environmentOf(
  identity: Identity,
  sandbox: Record<string, string>,
  { env, envDefaults, pty }: Pick<ProcessSpec, 'env' | 'envDefaults' | 'pty'>,
): Record<string, string> {
  return {
    ...envDefaults,
    PATH: defaultPath,
    HOME: identity.home,
    USER: identity.name,
    LOGNAME: identity.name,
    SHELL: identity.shell,
    LANG: 'C.UTF-8',
    ...(pty === undefined ? {} : { TERM: 'xterm-256color' }),
    ...sandbox,
    ...env,
  };
}

/** Absolute, existing, and one that the user may enter. Throws cwd_not_found. Call it with the user's identity. */
export function resolveCwd(asked: string, home: string): string {
  const cwd = isAbsolute(asked) ? asked : join(home, asked.replace(/^~(?=\/|$)/, '.'));
  let directory = false;
  try {
    directory = statSync(cwd, { throwIfNoEntry: false })?.isDirectory() ?? false;
  } catch {
    directory = false;
  }
  const shown = asked.slice(0, 1024);
  if (!directory) throw new AgentFault('cwd_not_found', `The working directory «${shown}» does not exist.`);
  if (!mayAccess(cwd, 'execute')) {
    throw new AgentFault('cwd_not_found', `The working directory «${shown}» may not be entered by this user.`);
  }
  return cwd;
}
