import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { AGENT_MOUNT } from '../agent/paths.ts';
import type { AgentSession } from '../agent/session.ts';
import { within } from '../clock.ts';
import type { ContainerEngine, RuntimeTraits } from '../engine/port.ts';
import { whenAgentReady } from '../engine/ready.ts';
import { RunnerError } from '../protocol/errors.ts';
import { socketDirOf } from './containers.ts';

const probeMs = 60_000;
const answerMs = 10_000;
const size = { cpus: 1, memoryMiB: 256, diskMiB: 256 };
const readCredit = 64 * 1024;

/** What a runtime that sandboxes can run under can do. */
export interface RuntimeFindings {
  kind: RuntimeTraits['kind'];
  /** Whether what runs can be made to stand still. */
  freezes: boolean;
  /** Whether programs reach the network that the engine gives a container. */
  reachesNetwork: boolean;
  /** Whether files can have attributes of their users'. */
  keepsAttributes: boolean;
}

export interface RuntimeProbeParts {
  engine: ContainerEngine;
  openSession: (socketDir: string) => Promise<AgentSession>;
  dataDir: string;
  image: string;
  /** Of the container that is made for it; nobody else's. */
  slot: string;
}

/**
 * Runs a hardened container of ours. Rejects where sandboxes can't be run in its like: with what to set, or with template_unavailable and
 * image_unsupported, which are no fault of the runtime's. Leaves nothing behind.
 */
export async function probeRuntime(parts: RuntimeProbeParts): Promise<RuntimeFindings> {
  const { engine, openSession, dataDir, image, slot } = parts;
  const socketDir = socketDirOf(dataDir, slot);
  const signal = AbortSignal.timeout(probeMs);
  const network = engine.networks.includes('on') ? 'on' : 'off';
  const session = await openSession(socketDir);
  let containerId: string | undefined;
  try {
    const started = await engine.start({ slot, image, network, socketDir, ...size }, signal);
    containerId = started.id;
    const files = ['/', '/tmp/'].map((folder) => `${folder}${slot}`);
    await whenAgentReady(session, { engine, id: containerId }, signal).catch((cause: unknown) => {
      if (cause instanceof RunnerError && cause.code === 'image_unsupported') throw cause;
      throw new Error('the agent could not reach its socket from inside (gVisor: --host-uds=open)', { cause });
    });
    await session.configure({ env: started.imageEnv, cwd: '/' });
    const interfaces = await writeAndLook(session, files);
    const traits = await engine.examine(containerId, files);
    requireTraits(traits);
    return {
      kind: traits.kind,
      freezes: await freezes(engine, containerId, session),
      reachesNetwork: network === 'off' || interfaces > 0,
      keepsAttributes: await keepsAttributes(session, signal),
    };
  } finally {
    await session.close();
    if (containerId !== undefined) await engine.remove(containerId);
  }
}

function requireTraits({ filesInLayer, ownLimits }: RuntimeTraits): void {
  if (!filesInLayer) {
    throw new Error(
      'what is written inside does not lie in the container’s layer, where disk limits and snapshots look for it (gVisor: --overlay2=none)',
    );
  }
  if (!ownLimits) {
    throw new Error('what runs inside is not held by the container’s own limits (gVisor: without --ignore-cgroups)');
  }
}

async function freezes(engine: ContainerEngine, containerId: string, session: AgentSession): Promise<boolean> {
  try {
    await engine.pause(containerId);
    await engine.unpause(containerId);
  } catch {
    return false;
  }
  await session.list(); // it goes on
  return true;
}

async function keepsAttributes(session: AgentSession, signal: AbortSignal): Promise<boolean> {
  const path = `/tmp/${randomBytes(8).toString('hex')}`;
  const write = { kind: 'file', path, user: 'root', metadata: { probe: 'kept' } } as const;
  try {
    await session.write(write, Readable.from([]), signal);
    const { metadata } = await session.file('stat', { path, user: 'root', followSymlinks: false });
    return metadata?.['probe'] === 'kept';
  } catch (error) {
    if (error instanceof RunnerError) return false;
    throw error;
  }
}

/** By root, by a program that every image can run, as the agent does. Answers how many interfaces it sees beside the loopback one. */
async function writeAndLook(session: AgentSession, files: readonly string[]): Promise<number> {
  const program = `
import { readFileSync, writeFileSync } from 'node:fs';
for (const path of ${JSON.stringify(files)}) writeFileSync(path, 'written');
const names = readFileSync('/proc/net/dev', 'utf8').split('\\n').map((line) => line.split(':')).filter((parts) => parts.length > 1);
process.stdout.write(String(names.filter(([name]) => name.trim() !== 'lo').length));
`;
  const argv = [`${AGENT_MOUNT}/bun`, '--no-env-file', '--config=/dev/null', '-e', program];
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  let said = '';
  await session.start(
    {
      processId: randomBytes(16).toString('hex'),
      command: { kind: 'argv', argv },
      env: {},
      user: 'root',
      stdin: 'null',
      stdinEnds: true,
    },
    {
      attach: { fromOffset: 0, creditBytes: readCredit, foreground: true, output: true },
      sink: {
        data: (_fd, _offset, bytes) => {
          said += Buffer.from(bytes).toString();
        },
        lagged: () => undefined,
        exit: ({ exitCode }) =>
          exitCode === 0 ? resolve(Number(said)) : reject(new Error(`a program ended with ${exitCode}: ${said}`)),
        lost: () => reject(new Error('the agent is gone')),
      },
    },
  );
  return await within(promise, answerMs, () => new Error('a program did not end in time'));
}
