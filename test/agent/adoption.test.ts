import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';
import { createAgentSession } from '../../runner/agent/host.ts';
import { Collector, docker, newProcessId, runContainer, runToEnd, specOf, wholeOutput } from './agent-container.ts';

test('processes, sessions and watchers survive a runner killed with SIGKILL: its successor attaches by offset and misses nothing', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gbx-'));
  const socketDir = join(folder, 's');
  const [processId, waitingId] = [newProcessId(), newProcessId()];
  const program = join(import.meta.dirname, 'first-runner.ts');
  const first = spawn(process.execPath, [program, socketDir, processId, waitingId], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: first.stdout })[Symbol.asyncIterator]();
  expect((await lines.next()).value).toBe('listening');
  const containerId = await runContainer(folder, socketDir);
  try {
    const watcherId = String((await lines.next()).value);
    first.kill('SIGKILL');
    await once(first, 'exit');
    const session = await createAgentSession({ socketDir, log: () => undefined });
    await session.ready(5_000);
    const [sink, waiting] = [new Collector(), new Collector()];
    await session.attach(waitingId, wholeOutput, waiting);
    await session.attach(processId, wholeOutput, sink);
    expect(await sink.ended).toMatchObject({ exitCode: 0, reason: 'exited' });
    expect(sink.stdout.toString()).toBe(Array.from({ length: 200 }, (_, at) => `${at + 1}\n`).join(''));
    expect((await runToEnd(session, specOf('echo new'))).stdout).toBe('new\n');
    await waiting.ended;
    expect(waiting.stdout.toString()).toBe('/usr\n1\n');
    expect((await runToEnd(session, specOf('echo $KEPT', { session: 'kept' }))).stdout).toBe('1\n');
    await runToEnd(session, specOf('echo > /tmp/after'));
    const { events } = await session.file('watcherEvents', { watcherId });
    expect(events).toContainEqual({ kind: 'create', path: '/tmp/after' });
    await session.close();
  } finally {
    first.kill('SIGKILL');
    await docker('rm', '-f', containerId);
    await rm(folder, { recursive: true, force: true });
  }
});

test('a reader whose number its successor gives to another keeps no process waiting', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gbx-'));
  const socketDir = join(folder, 's');
  const first = await createAgentSession({ socketDir, log: () => undefined });
  const containerId = await runContainer(folder, socketDir);
  try {
    await first.ready(20_000);
    const script = 'head -c 1000000 /dev/zero; touch /tmp/through';
    await first.start(specOf(script), { attach: { ...wholeOutput, creditBytes: 0 }, sink: new Collector() });
    await first.hangUp();
    const session = await createAgentSession({ socketDir, log: () => undefined });
    await session.ready(5_000);
    const from = performance.now();
    await session.start(specOf('sleep 60'), { attach: wholeOutput, sink: new Collector() });
    await runToEnd(session, specOf('until [ -e /tmp/through ]; do sleep 0.05; done'));
    // Sooner than it would have been let go for want of its reader.
    expect(performance.now() - from).toBeLessThan(4_000);
    await session.close();
  } finally {
    await docker('rm', '-f', containerId);
    await first.close();
    await rm(folder, { recursive: true, force: true });
  }
});
