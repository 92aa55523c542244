import { randomBytes } from 'node:crypto';
import { AGENT_MOUNT } from '../agent/paths.ts';
import type { AgentSession } from '../agent/session.ts';
import { within } from '../clock.ts';
import type { ContainerEngine } from '../engine/port.ts';
import { whenAgentReady } from '../engine/ready.ts';
import { socketDirOf } from './containers.ts';

const probeMs = 60_000;
const answerMs = 10_000;
const size = { cpus: 1, memoryMiB: 256, diskMiB: 256 };

/** Of a program that every image can run, as the agent does. It says by its listening socket what it was told by its terminal. */
const program = `
const server = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data(socket, bytes) { socket.end(bytes); } } });
process.stdin.on('data', (line) => void Bun.connect({
  hostname: '127.0.0.1', port: server.port,
  socket: { open(socket) { socket.write('heard ' + line); }, data(_, bytes) { process.stdout.write(bytes); } },
}));
process.stdout.write('listening');
`;

interface ProbeParts {
  engine: ContainerEngine;
  openSession: (socketDir: string) => Promise<AgentSession>;
  dataDir: string;
  image: string;
  /** Of the container that is made for it; nobody else's. */
  slot: string;
}

/**
 * Makes a checkpoint of a hardened container of ours and restores it: in it a process of the plain user, with a terminal and a listening
 * socket, which has to go on. Rejects where it doesn't; leaves nothing behind.
 */
export async function probeCheckpoint(parts: ProbeParts): Promise<void> {
  const { engine, openSession, dataDir, image, slot } = parts;
  const socketDir = socketDirOf(dataDir, slot);
  const signal = AbortSignal.timeout(probeMs);
  const session = await openSession(socketDir);
  let containerId: string | undefined;
  try {
    const started = await engine.start({ slot, image, network: 'off', socketDir, ...size }, signal);
    containerId = started.id;
    const container = { engine, id: containerId };
    await whenAgentReady(session, container, signal);
    await session.configure({ env: started.imageEnv, cwd: '/' });
    const witness = await startWitness(session);
    await witness.says('listening');
    await session.hangUp();
    await engine.checkpoint(containerId);
    await session.listen();
    await engine.restore(containerId);
    await whenAgentReady(session, container, signal);
    await session.writeStdin(witness.processId, Buffer.from('this\n'));
    await witness.says('heard this');
    if (!(await engine.sharesNodeDevice(containerId))) return;
    throw new Error('a restored sandbox’s root could change the mode and owner of the node’s /dev/null');
  } finally {
    await session.close();
    if (containerId !== undefined) await engine.remove(containerId);
  }
}

async function startWitness(session: AgentSession) {
  const processId = randomBytes(16).toString('hex');
  let said = '';
  let heard = (): void => undefined;
  const argv = [`${AGENT_MOUNT}/bun`, '--no-env-file', '--config=/dev/null', '-e', program];
  await session.start(
    {
      processId,
      command: { kind: 'argv', argv },
      env: {},
      user: 'user',
      stdin: 'pipe',
      stdinEnds: false,
      pty: { cols: 80, rows: 24 },
    },
    {
      attach: { fromOffset: 0, creditBytes: 64 * 1024, foreground: false, output: true },
      sink: {
        data: (_fd, _offset, bytes) => {
          said += Buffer.from(bytes).toString();
          heard();
        },
        lagged: () => undefined,
        exit: () => undefined,
        lost: () => undefined,
      },
    },
  );
  const says = async (words: string): Promise<void> => {
    const coming = new Promise<void>((resolve) => {
      heard = () => {
        if (said.includes(words)) resolve();
      };
      heard();
    });
    await within(coming, answerMs, () => new Error(`the process did not say «${words}»`));
  };
  return { processId, says };
}
