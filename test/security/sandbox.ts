import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { prepareAgentFolder, type AgentFolder } from '../../runner/agent/bundle.ts';
import { createAgentSession } from '../../runner/agent/host.ts';
import type { AgentSession } from '../../runner/agent/session.ts';
import { createDockerEngine } from '../../runner/engine/docker.ts';
import type { DockerEngineOptions } from '../../runner/engine/engine-setup.ts';
import { connectDocker, dockerSocketPath, type DockerClient } from '../../runner/engine/docker-client.ts';
import { removeInstallation } from '../../runner/engine/removal.ts';
import type { ContainerEngine, ContainerRequest, EngineReport } from '../../runner/engine/port.ts';
import { createLogger } from '../../runner/log.ts';
import type { ProcessExit } from '../../runner/protocol/process.ts';

export const baseImage = 'glovebox/base:latest';
const socketPath = dockerSocketPath(process.env['DOCKER_HOST']);
/** These tests can be run under another one than CI's. */
const runtime = process.env['GLOVEBOX_RUNTIME'] === undefined ? {} : { runtime: process.env['GLOVEBOX_RUNTIME'] };
const readyTimeoutMs = 20_000;
const outputBytesMax = 8 * 1024 * 1024;

export interface Outcome {
  exit: ProcessExit;
  stdout: string;
  stderr: string;
}

export interface TestSandbox {
  containerId: string;
  session: AgentSession;
  /** Of the container's first process, in the host's numbers. */
  hostPid: number;
  run(script: string, options?: { user?: string; timeoutMs?: number }): Promise<Outcome>;
  /** Runs a Python program and parses what it prints as JSON. */
  python<T>(program: string, options?: { user?: string; timeoutMs?: number }): Promise<T>;
  remove(): Promise<void>;
}

/** A real engine with an installation id of its own, for one test file. Everything it made is gone after dispose(). */
export interface TestEngine {
  engine: ContainerEngine;
  docker: DockerClient;
  report: EngineReport;
  installationId: string;
  agent: AgentFolder;
  /** Lines that the engine logged, as JSON. */
  logged: string[];
  start(over?: Partial<ContainerRequest>): Promise<TestSandbox>;
  dispose(): Promise<void>;
}

export async function startTestEngine(over: Partial<DockerEngineOptions> = {}): Promise<TestEngine> {
  const installationId = randomBytes(6).toString('hex');
  const folder = await mkdtemp(join(tmpdir(), 'gbx-'));
  const logged: string[] = [];
  const log = createLogger((line) => logged.push(line));
  const agent = await prepareAgentFolder(folder);
  const engine = createDockerEngine({ socketPath, installationId, agent, log, ...runtime, ...over });
  const report = await engine.prepare();
  const docker = connectDocker(socketPath);

  const start = async (request: Partial<ContainerRequest> = {}): Promise<TestSandbox> => {
    const slot = randomBytes(8).toString('hex');
    const socketDir = join(folder, 's', slot);
    const session = await createAgentSession({ socketDir, log: (event) => log.info(event) });
    const size = { cpus: 1, memoryMiB: 512, diskMiB: 1024 };
    const whole = { slot, image: baseImage, network: 'off' as const, socketDir, ...size, ...request };
    const container = await engine.start(whole, AbortSignal.timeout(60_000));
    await session.ready(readyTimeoutMs);
    await session.configure({ env: container.imageEnv, cwd: '/' });
    const { State } = await docker.getContainer(container.id).inspect();
    return sandboxOf(engine, container.id, State.Pid, session);
  };
  const dispose = async (): Promise<void> => {
    await engine.close();
    await removeInstallation(socketPath, installationId);
    await rm(folder, { recursive: true, force: true });
  };
  return { engine, docker, report, installationId, agent, logged, start, dispose };
}

function sandboxOf(engine: ContainerEngine, containerId: string, hostPid: number, session: AgentSession): TestSandbox {
  const run: TestSandbox['run'] = (script, options) => runInSession(session, script, options);
  return {
    containerId,
    session,
    hostPid,
    run,
    async python<T>(program: string, options?: { user?: string; timeoutMs?: number }): Promise<T> {
      const { exit, stdout, stderr } = await run(`python3 - <<'END-OF-PROGRAM'\n${program}\nEND-OF-PROGRAM`, options);
      if (exit.exitCode !== 0) throw new Error(`python ended with ${exit.exitCode ?? exit.signal}: ${stderr}`);
      return JSON.parse(stdout) as T;
    },
    async remove() {
      await session.close();
      await engine.remove(containerId);
    },
  };
}

/** Through the agent, so with what a sandbox's process has. */
async function runInSession(
  session: AgentSession,
  script: string,
  { user = 'root', timeoutMs = 30_000 }: { user?: string; timeoutMs?: number } = {},
): Promise<Outcome> {
  const chunks: Record<number, Buffer[]> = { 1: [], 2: [] };
  const { promise, resolve, reject } = Promise.withResolvers<ProcessExit>();
  await session.start(
    {
      processId: randomBytes(16).toString('hex'),
      command: { kind: 'shell', script, login: false },
      env: {},
      user,
      stdin: 'null',
      stdinEnds: true,
      timeoutMs,
      outputLimitBytes: outputBytesMax / 2,
    },
    {
      attach: { fromOffset: 0, creditBytes: outputBytesMax, foreground: true, output: true },
      sink: {
        data: (fd, _offset, bytes) => void chunks[fd]?.push(Buffer.from(bytes)),
        lagged: () => undefined,
        exit: resolve,
        lost: () => reject(new Error('the agent is gone')),
      },
    },
  );
  const exit = await promise;
  const text = (fd: number): string => Buffer.concat(chunks[fd] ?? []).toString();
  return { exit, stdout: text(1), stderr: text(2) };
}

/** A copy of the base image without its offer of sudo. Remove it with removeImage. */
export async function makeImageWithoutSudo(docker: DockerClient, installationId: string): Promise<string> {
  const repo = `gbx-test-${installationId}`;
  const container = await docker.createContainer({
    Image: baseImage,
    Labels: { 'glovebox.installation': installationId },
    HostConfig: {},
  });
  await container.commit({ repo, tag: 'plain', changes: 'LABEL glovebox.sudo=false' });
  await container.remove();
  return `${repo}:plain`;
}

export async function host(program: string, ...args: string[]): Promise<string> {
  return (await promisify(execFile)(program, args, { timeout: 20_000 })).stdout;
}
