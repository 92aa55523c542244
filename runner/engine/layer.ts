import { spawn, type ChildProcess } from 'node:child_process';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AGENT_MOUNT, KEPT_TMP_MOUNT, SOCKET_MOUNT } from '../agent/paths.ts';
import { RunnerError } from '../protocol/errors.ts';

/**
 * A container's writable layer as a tar of overlayfs's own upper directory: whiteouts, opaque directories, owners, modes, hard links, holes
 * and extended attributes as they are. The engine's commit and export leave out users' attributes and fill holes.
 *
 * GNU tar walks by descriptors and follows no links. It reads where nothing writes meanwhile (the container is frozen or has ended) and
 * unpacks where nothing has run yet; it puts links that lead elsewhere in place last, so that nothing is written through them.
 */
const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };
const errorTextMaxBytes = 4096;

/** One read of a pipe's; its unit is a block of 512 bytes. */
const recordBlocks = '--blocking-factor=128';

const packing = [
  '--create',
  recordBlocks,
  '--format=posix',
  '--pax-option=delete=atime,delete=ctime',
  '--sparse',
  '--one-file-system',
];
const unpacking = ['--extract', recordBlocks, '--same-owner', '--same-permissions', '--delay-directory-restore'];
const attributes = [
  '--xattrs',
  // Overlay's other marks tell of this node's inodes.
  ...['user.*', 'security.capability', 'trusted.overlay.opaque'].map((name) => `--xattrs-include=${name}`),
  '--acls',
  '--numeric-owner',
];

/** Mount points of what the engine brings into every container: another's agent must not be led elsewhere by what a sandbox made of them. */
const mountPoints = ['--anchored', ...[AGENT_MOUNT, SOCKET_MOUNT, KEPT_TMP_MOUNT].map((path) => `--exclude=.${path}`)];

/** Fails, never just ends, when it could not be read whole. */
export async function* packLayer(directory: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const child = spawn('tar', [...packing, ...attributes, ...mountPoints, '--directory', directory, '--file=-', '.'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env,
    signal,
  });
  const ended = endOf(child);
  try {
    yield* child.stdout as AsyncIterable<Uint8Array>;
    await ended;
  } finally {
    child.kill('SIGKILL');
    await ended.catch(() => undefined); // told above, unless its reader has given up
  }
}

/** Into an empty layer of a container that has not been started. `layer` has passed a LayerGuard. */
export async function unpackLayer(
  directory: string,
  layer: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  const child = spawn('tar', [...unpacking, ...attributes, ...mountPoints, '--directory', directory, '--file=-'], {
    stdio: ['pipe', 'ignore', 'pipe'],
    env,
    signal,
  });
  const ended = endOf(child);
  try {
    const fed = pipeline(Readable.from(layer, { objectMode: false }), child.stdin);
    // Where tar gives up first, its own word says why; the broken pipe only follows from it.
    await Promise.all([
      fed.catch((error: unknown) => (isBrokenPipe(error) ? undefined : Promise.reject(error))),
      ended,
    ]);
  } finally {
    child.kill('SIGKILL');
    await ended.catch(() => undefined); // told above
  }
}

const isBrokenPipe = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'EPIPE' || error.code === 'ERR_STREAM_PREMATURE_CLOSE');

/** Settles once it is gone and its streams are closed, whatever became of it before: an abort is told sooner. */
function endOf(child: ChildProcess): Promise<void> {
  let said = '';
  let failure: Error | undefined;
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-errorTextMaxBytes);
  });
  const ended = new Promise<void>((resolve, reject) => {
    child.on('error', (error) => {
      failure ??= error;
      // Never begun, it has no close.
      if (child.pid === undefined) reject(couldNotCopy(error));
    });
    child.once('close', (code) => {
      if (failure) reject(failure);
      else if (code === 0) resolve();
      else reject(faultOf(code, said));
    });
  });
  // Its reader may be busy with the child's streams when it fails, which is no unhandled rejection.
  ended.catch(() => undefined);
  return ended;
}

function faultOf(code: number | null, said: string): RunnerError {
  if (/No space left|Disk quota exceeded/.test(said)) {
    return new RunnerError('no_space', 'The node has no room for the sandbox’s files.', { cause: new Error(said) });
  }
  return couldNotCopy(new Error(`tar ended with ${code}: ${said}`));
}

const couldNotCopy = (cause: Error): RunnerError =>
  new RunnerError('engine_failed', 'The sandbox’s files could not be copied.', { cause });
