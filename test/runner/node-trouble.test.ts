import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { imageTag } from '../../local/images.ts';
import { waitFor } from '../wait-for.ts';
import { attachment, processSpec } from './support/harness.ts';
import { startTestNode, type TestNode } from './support/node.ts';

let node: TestNode;
beforeAll(async () => {
  node = await startTestNode();
});
afterAll(() => node.close());

const shell = (script: string, rest = {}) => processSpec({ command: { kind: 'shell', script, login: false }, ...rest });

async function docker(...args: string[]): Promise<string> {
  return (await promisify(execFile)('docker', args)).stdout.trim();
}

async function containers(): Promise<string[]> {
  const ids = await docker('ps', '-aq', '--no-trunc', '--filter', `label=glovebox.installation=${node.installationId}`);
  return ids === '' ? [] : ids.split('\n');
}

const observed = (sandboxId: string) => node.plane.beats.at(-1)?.sandboxes.find((one) => one.sandboxId === sandboxId);

test('a container that dies ends its sandbox: the call is told, the end is reported, nothing is left', async () => {
  const { edge } = node;
  const before = await containers();
  const sandboxId = await node.create();
  const [container = ''] = (await containers()).filter((id) => !before.includes(id));
  const spec = shell('sleep 600');
  const channel = await edge.deliver('process.start', { sandboxId }, { spec, attach: attachment });
  await edge.until(channel, (events) => events.length === 2);
  await docker('kill', container);
  const events = await edge.until(channel, (all) => all.length === 3, 10_000);
  expect(events.at(-1)).toMatchObject({ t: 'exit', exit: { reason: 'sandbox_ended', sandboxEndReason: 'failed' } });
  await waitFor('the report', () => observed(sandboxId)?.state === 'ended', 10_000);
  expect(observed(sandboxId)).toMatchObject({ endReason: 'failed' });
  expect(await containers()).toEqual(before);
});

test('a command that takes more memory than there is ends as oom, and the sandbox goes on', async () => {
  const sandboxId = await node.create({ memoryMiB: 128 });
  const spec = shell('tail /dev/zero');
  const events = await node.edge.call('process.start', { sandboxId }, { spec, attach: attachment }, 30_000);
  expect(events.at(-1)).toMatchObject({ t: 'exit', exit: { signal: 'SIGKILL', reason: 'oom' } });
  const after = await node.edge.call('process.start', { sandboxId }, { spec: shell('true'), attach: attachment });
  expect(after.at(-1)).toMatchObject({ t: 'exit', exit: { exitCode: 0 } });
  await node.edge.call('sandbox.kill', { sandboxId }, { revision: 2, graceMs: 0 });
});

test('what ran is reported in heartbeats, once', async () => {
  const sandboxId = await node.create();
  const spec = shell('exit 7');
  await node.edge.call('process.start', { sandboxId }, { spec, attach: attachment });
  const records = () =>
    node.plane.beats
      .flatMap(({ history }) => history)
      .filter((entry) => entry.sandboxId === sandboxId)
      .flatMap((entry) => entry.records);
  await waitFor('the record', () => records().length > 0, 10_000);
  const seen = node.plane.beats.length;
  await waitFor('two more beats', () => node.plane.beats.length >= seen + 2, 40_000);
  expect(records()).toMatchObject([{ processId: spec.processId, command: 'exit 7', exitCode: 7, reason: 'exited' }]);
});

test('the pool is filled as the control plane asks, a create claims from it, and a new life starts it afresh', async () => {
  const template = { name: 'base', image: imageTag('base') };
  node.plane.answer.pool = [{ template: template.name, image: template.image, network: 'off', count: 2 }];
  const warm = () => node.plane.beats.at(-1)?.warm.find(({ network }) => network === 'off')?.count;
  await waitFor('two warm containers', () => warm() === 2, 30_000);
  const { edge } = node;
  const sandboxId = await node.create();
  const spec = shell('echo $PATH');
  const events = await edge.call('process.start', { sandboxId }, { spec, attach: attachment });
  expect(String(events.find(({ t }) => t === 'data')?.bytes)).toContain('/usr/bin');
  node.plane.answer.pool = [];
  await node.stop('SIGKILL');
  const before = await containers();
  await node.start();
  const after = await containers();
  expect(after.length).toBeLessThan(before.length);
  const again = await edge.call('process.start', { sandboxId }, { spec: shell('true'), attach: attachment });
  expect(again.at(-1)).toMatchObject({ t: 'exit', exit: { exitCode: 0 } });
});

test('heartbeat’s kill directive removes a sandbox that should not be there', async () => {
  const sandboxId = await node.create();
  node.plane.answer.kill = [{ sandboxId, epoch: 1, revision: 9 }];
  await waitFor('its end', () => observed(sandboxId)?.state === 'ended', 15_000);
  expect(observed(sandboxId)).toMatchObject({ endReason: 'killed' });
  node.plane.answer.kill = [];
});

test('SIGTERM drains and leaves sandboxes to the next life; with REMOVE_ON_EXIT nothing of ours is left', async () => {
  const { edge } = node;
  const sandboxId = await node.create();
  const spec = shell('sleep 600');
  const channel = await edge.deliver('process.start', { sandboxId }, { spec, attach: attachment });
  await edge.until(channel, (events) => events.length === 2);
  expect(await node.stop('SIGTERM')).toBe(0);
  expect((await edge.until(channel, (events) => events.length === 3)).at(-1)).toMatchObject({
    t: 'lagged',
    detached: true,
    resumable: true,
  });
  expect(await node.redis.client().exists(`lease-${node.plane.runnerId}`)).toBe(0);
  expect(node.plane.leaves).toBe(0);
  await node.start({ GLOVEBOX_REMOVE_ON_EXIT: '1' });
  const listed = await edge.call('process.list', { sandboxId }, { details: false });
  expect(listed.at(-1)).toMatchObject({ value: { processes: [{ processId: spec.processId, exit: null }] } });
  const again = await edge.deliver(
    'process.attach',
    { sandboxId },
    { process: { processId: spec.processId }, attach: attachment },
  );
  await edge.until(again, (events) => events.length === 2);
  expect(await node.stop('SIGTERM')).toBe(0);
  expect((await edge.until(again, (events) => events.length === 3)).at(-1)).toMatchObject({
    t: 'exit',
    exit: { reason: 'sandbox_ended', sandboxEndReason: 'evicted' },
  });
  expect(await containers()).toEqual([]);
  expect(node.plane.leaves).toBe(1);
  expect(observed(sandboxId)).toMatchObject({ state: 'ended', endReason: 'evicted' });
  expect(await docker('network', 'ls', '-q', '--filter', `name=gbx-${node.installationId}`)).toBe('');
  await node.start();
});
