/** Exit codes by which shells, tini and the engine say that a program could not be started. */
const notExecutable = 126;
const notFound = 127;
const illegalInstruction = 128 + 4;

/**
 * A sentence for the caller when a container that ended before its agent dialled in looks like an image the agent can't run
 * in; null when it died of something else (killed, out of memory, the agent's own failure).
 */
export function diagnoseExit(exit: { exitCode: number; oomKilled: boolean; startError: string }): string | null {
  if (exit.oomKilled) return null;
  if (/exec format error/i.test(exit.startError) || exit.exitCode === illegalInstruction) {
    return 'The image is built for another processor architecture than this node has; use an image for this architecture.';
  }
  if (exit.exitCode === notFound || exit.exitCode === notExecutable || isStartFailure(exit.startError)) {
    return 'The agent cannot run in this image: it needs the GNU C library (glibc); use a Debian, Ubuntu or Fedora based image.';
  }
  return null;
}

/** What the engine answers to a start whose first program can't be executed. */
function isStartFailure(message: string): boolean {
  return /exec format error|no such file or directory": unknown|executable file not found|exec .*: no such file or directory/i.test(
    message,
  );
}
