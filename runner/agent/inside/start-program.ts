import { startChild } from './child.ts';
import { errnoOf } from './fault.ts';
import type { Child, ChildEvents, Launch } from './launch.ts';
import type { NotRunnable } from './program.ts';

/** A file without «#!» is a shell's script, as execvp(3) has it. */
export function startProgram(launch: Launch, events: ChildEvents): Child {
  try {
    return startChild(launch, events);
  } catch (error) {
    if (errnoOf(error) !== 'ENOEXEC') throw error;
    const { path, argv } = launch.program;
    return startChild({ ...launch, program: { path: '/bin/sh', argv: ['sh', path, ...argv.slice(1)] } }, events);
  }
}

/** The kernel refused to execute what was found: as a shell says it. */
export function notExecuted(error: unknown, name: string): NotRunnable {
  const shown = name.slice(0, 256);
  switch (errnoOf(error)) {
    case 'ENOENT':
      return { exitCode: 127, message: `${shown}: its interpreter was not found` };
    case 'EACCES':
    case 'EPERM':
      return { exitCode: 126, message: `${shown}: permission denied` };
    case 'E2BIG':
      return { exitCode: 126, message: `${shown}: argument list too long` };
    case 'ENOEXEC':
      return { exitCode: 126, message: `${shown}: cannot execute: exec format error` };
    case 'ETXTBSY':
      return { exitCode: 126, message: `${shown}: text file busy` };
    case 'ELIBBAD':
      return { exitCode: 126, message: `${shown}: a damaged library` };
    default:
      throw error;
  }
}
