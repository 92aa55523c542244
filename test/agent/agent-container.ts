import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { prepareAgentFolder } from '../../runner/agent/bundle.ts';
import { createAgentSession } from '../../runner/agent/host.ts';
import { AGENT_MOUNT, SOCKET_MOUNT } from '../../runner/agent/paths.ts';
import type { AgentSession, ProcessSink, ReaderHandle, WatchSink } from '../../runner/agent/session.ts';
import type { Attachment, ProcessExit, ProcessSpec } from '../../runner/protocol/process.ts';

const image = 'glovebox/base:latest';
const capabilities = ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'KILL', 'SETGID', 'SETUID'];
const readyMs = 20_000;

export interface AgentContainer {
  session: AgentSession;
  containerId: string;
  dispose(): Promise<void>;
}

export const docker = async (...argv: string[]): Promise<string> =>
  (await promisify(execFile)('docker', argv, { maxBuffer: 64 * 1024 * 1024 })).stdout;

/** A hardened container with nothing but the agent, without the engine's part: flags are those that the agent itself needs. */
export async function runContainer(folder: string, socketDir: string): Promise<string> {
  const agent = await prepareAgentFolder(folder);
  const hardening = ['--cap-drop', 'ALL', ...capabilities.flatMap((name) => ['--cap-add', name])];
  const limits = [
    '--network',
    'none',
    '--pids-limit',
    '512',
    '--memory',
    '512m',
    '--tmpfs',
    '/small:size=2m,mode=1777',
  ];
  const mounts = ['-v', `${agent.folder}:${agent.mountPath}:ro`, '-v', `${socketDir}:${SOCKET_MOUNT}:ro`];
  const [program = '', ...argv] = agent.entrypoint;
  const run = ['run', '-d', '--label', 'glovebox.test=agent', '-w', AGENT_MOUNT, '-u', '0:0', '--entrypoint', program];
  for (const variable of agent.env) run.push('-e', variable);
  return (await docker(...run, ...hardening, ...limits, ...mounts, image, ...argv)).trim();
}

export async function startAgentContainer(): Promise<AgentContainer> {
  const folder = await mkdtemp(join(tmpdir(), 'gbx-'));
  const socketDir = join(folder, 's');
  const session = await createAgentSession({ socketDir, log: () => undefined });
  const containerId = await runContainer(folder, socketDir);
  const dispose = async (): Promise<void> => {
    await docker('rm', '-f', containerId);
    await session.close();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await session.ready(readyMs);
    await session.configure({ env: { FROM_SANDBOX: 'yes' }, cwd: '/tmp' });
  } catch (error) {
    await dispose();
    throw error;
  }
  return { session, containerId, dispose };
}

export const newProcessId = (): string => randomBytes(16).toString('hex');

export const wholeOutput: Attachment = { fromOffset: 0, creditBytes: 64 * 1024 * 1024, foreground: true, output: true };

export function specOf(script: string, over: Partial<ProcessSpec> = {}): ProcessSpec {
  const command = { kind: 'shell' as const, script, login: false };
  return { processId: newProcessId(), command, env: {}, user: 'user', stdin: 'null', stdinEnds: false, ...over };
}

/** What a reader was given, in order. */
export class Collector implements ProcessSink {
  readonly #parts: { stdout: Uint8Array[]; stderr: Uint8Array[] } = { stdout: [], stderr: [] };
  receivedBytes = 0;
  droppedBytes = 0;
  detached = false;
  gone = false;
  exitEvent: ProcessExit | undefined;
  readonly ended: Promise<ProcessExit>;
  readonly #resolve: (exit: ProcessExit) => void;
  readonly #reject: (error: Error) => void;
  readonly #keep: boolean;

  constructor(keep = true) {
    const { promise, resolve, reject } = Promise.withResolvers<ProcessExit>();
    promise.catch(() => undefined);
    this.ended = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#keep = keep;
  }

  get stdout(): Buffer {
    return Buffer.concat(this.#parts.stdout);
  }

  get stderr(): Buffer {
    return Buffer.concat(this.#parts.stderr);
  }

  data(fd: 0 | 1 | 2, _offset: number, bytes: Uint8Array): void {
    this.receivedBytes += bytes.length;
    if (!this.#keep) return;
    this.#parts[fd === 2 ? 'stderr' : 'stdout'].push(bytes);
  }

  lagged(droppedBytes: number, detached: boolean): void {
    this.droppedBytes += droppedBytes;
    this.detached ||= detached;
  }

  exit(exit: ProcessExit): void {
    this.exitEvent = exit;
    this.#resolve(exit);
  }

  lost(): void {
    this.gone = true;
    this.#reject(new Error('lost'));
  }
}

/** One that is never lost. */
export const watchSink = (events: WatchSink['events']): WatchSink => ({
  events,
  lost: (error) => {
    throw error;
  },
});

export interface Finished {
  exit: ProcessExit;
  stdout: string;
  stderr: string;
}

export async function runToEnd(session: AgentSession, spec: ProcessSpec): Promise<Finished> {
  const sink = new Collector();
  await session.start(spec, { attach: wholeOutput, sink });
  const exit = await sink.ended;
  return { exit, stdout: sink.stdout.toString(), stderr: sink.stderr.toString() };
}

export async function startReader(
  session: AgentSession,
  spec: ProcessSpec,
  attach: Attachment,
  keep = true,
): Promise<{ sink: Collector; reader: ReaderHandle }> {
  const sink = new Collector(keep);
  const { reader } = await session.start(spec, { attach, sink });
  if (reader === null) throw new Error('no reader');
  return { sink, reader };
}
