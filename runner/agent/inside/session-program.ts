import { saveState } from './shell-state.ts';

/**
 * How a shell runs a session's command. It starts in the saved directory with the saved environment already, so all that it adds is to
 * write them down at its end: on descriptor 3, never on stdout or stderr. While the command runs that is closed; the copy of it that the
 * shell takes for restoring it, 10, is closed on exec(2), so no program sees either.
 *
 * The command is evaluated, so $0, $#, LINENO, stdin and syntax errors are as `bash -c` has them, but for the word «eval» in some messages.
 * Its state is written after it, or from a trap when it ends the shell (exit, set -e, a fatal error). A command with an EXIT trap of its own
 * that also calls exit changes nothing of the session: no second trap can be had.
 */
function wrap(builtin: string, special: string, run: string): string {
  const set = `${special}set`;
  const atExit = `{ ${set} +exu; ${saveState([10, 3], builtin)}; } 2>&-`;
  const afterwards = `{ ${set} -- "$?"; ${set} +exu; ${saveState([3], builtin)}; exec 3>&-; } 2>&-`;
  return `trap '${atExit}' EXIT; ${run} 3>&-; ${afterwards}; ${special}exit "$1"`;
}

const evaluateArgument = 'eval "set --; $1"';

/** Functions of the command's may bear the names of builtins. A special builtin of a plain sh is found before any function. */
const bash = (run: string): string => wrap('builtin', 'builtin ', run);
const sh = (run: string): string => wrap('command', '', run);

/** By what holds the command: the shell's first argument, or descriptor 4 (where no argument can hold it). */
export const sessionShells = {
  bash: {
    argument: bash(evaluateArgument),
    descriptor: `IFS= read -r -d "" -u 4 __glovebox_script; exec 4<&-; set -- "$__glovebox_script"; unset __glovebox_script; ${bash(evaluateArgument)}`,
  },
  sh: { argument: sh(evaluateArgument), descriptor: sh('set --; eval ". /proc/self/fd/4"') },
} as const;
