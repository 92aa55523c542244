import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, request as forward, type IncomingMessage, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { dockerSocketPath } from '../../runner/engine/docker-client.ts';
import type { RunnerError } from '../../runner/protocol/errors.ts';
import { baseImage, host, startTestEngine, type TestEngine } from '../security/sandbox.ts';

/** The engine goes away in the middle of a call: what was done may be done, and nobody hears of it. */
type Fate = 'answered' | 'unanswered' | 'refused';

let folder: string;
let proxy: Server;
let its: TestEngine;
let fateOf: (call: string) => Fate;

/** Hands calls on to the machine's engine, and its answers back where their fate is so. */
function pass(call: IncomingMessage, fate: Fate, answer: (from: IncomingMessage) => void): void {
  if (fate === 'refused') return void call.socket.destroy();
  const { method, url: path, headers } = call;
  const socketPath = dockerSocketPath(process.env['DOCKER_HOST']);
  const onward = forward({ socketPath, method, path, headers }, (from) => {
    if (fate === 'answered') return answer(from);
    from.resume().once('end', () => call.socket.destroy());
  });
  onward.on('error', () => call.socket.destroy());
  call.pipe(onward);
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gbx-p-'));
  fateOf = () => 'answered';
  // The client writes what it asks for into the address as well.
  proxy = createServer({ maxHeaderSize: 1024 * 1024 }, (call, back) =>
    pass(call, fateOf(`${call.method} ${call.url?.split('?')[0]}`), (from) => {
      back.writeHead(from.statusCode ?? 500, from.headers);
      from.pipe(back);
    }),
  );
  const socketPath = join(folder, 'docker.sock');
  await once(proxy.listen(socketPath), 'listening');
  its = await startTestEngine({ socketPath });
});
afterEach(async () => {
  fateOf = () => 'answered';
  await its?.dispose();
  proxy.closeAllConnections();
  proxy.close();
  await rm(folder, { recursive: true, force: true });
});

const size = { cpus: 1, memoryMiB: 256, diskMiB: 256 };

test('a start that is not answered is told as that, and the container that it has left behind, running, is found and removed', async () => {
  fateOf = (call) => (call.endsWith('/start') ? 'unanswered' : call.startsWith('DELETE') ? 'refused' : 'answered');
  const slot = randomBytes(8).toString('hex');
  const egress = { allow: [], deny: ['10.1.2.3/32'] };
  const request = { slot, image: baseImage, network: 'on' as const, socketDir: folder, egress, ...size };
  const failure: unknown = await its.engine
    .start(request, AbortSignal.timeout(30_000))
    .catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: 'engine_failed' });
  expect((failure as RunnerError).message).toContain('could not start');
  fateOf = () => 'answered';
  const [left] = await its.engine.list();
  expect(left).toMatchObject({ slot, state: 'running' });
  await its.engine.remove(left?.id ?? '');
  expect(await its.engine.list()).toEqual([]);
  expect(await host('iptables-save')).not.toContain(`GBX-${its.installationId}-S`);
});

test('one that is gone although its removal was not answered stays in the list until what was its is given back', async () => {
  const sandbox = await its.start({ network: 'on' });
  const id = sandbox.containerId;
  await its.engine.setEgress(id, { allow: [], deny: ['10.1.2.3/32'] });
  fateOf = (call) => (call.startsWith('DELETE') ? 'unanswered' : 'answered');
  await expect(its.engine.remove(id)).rejects.toMatchObject({ code: 'engine_failed' });
  await expect(its.docker.getContainer(id).inspect()).rejects.toMatchObject({ statusCode: 404 });
  expect(await its.engine.list()).toEqual([{ id, slot: '', state: 'exited' }]);
  fateOf = () => 'answered';
  await its.engine.remove(id);
  expect(await its.engine.list()).toEqual([]);
  expect(await host('iptables-save')).not.toContain(`GBX-${its.installationId}-S`);
  await sandbox.session.close();
});
