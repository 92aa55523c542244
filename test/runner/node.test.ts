import { afterAll, beforeAll, expect, test } from 'vitest';
import { host } from '../security/sandbox.ts';
import { waitFor } from '../wait-for.ts';
import { attachment, processSpec } from './support/harness.ts';
import { startTestNode, type TestNode } from './support/node.ts';
import type { Event } from './support/edge.ts';

let node: TestNode;
beforeAll(async () => {
  node = await startTestNode();
});
afterAll(() => node.close());

const shell = (script: string, rest = {}) => processSpec({ command: { kind: 'shell', script, login: false }, ...rest });
const textOf = (events: Event[]) => events.map(({ bytes }) => String(bytes ?? '')).join('');

test('a command runs in a real sandbox and its output comes back', async () => {
  const sandboxId = await node.create();
  const spec = shell('echo $GREETING; id -un');
  const events = await node.edge.call('process.start', { sandboxId }, { spec, attach: attachment });
  expect(textOf(events)).toBe('hello\nuser\n');
  expect(events.at(-1)).toMatchObject({ t: 'exit', exit: { exitCode: 0, reason: 'exited' } });
  const killed = await node.edge.call('sandbox.kill', { sandboxId }, { revision: 2, graceMs: 0 });
  expect(killed.at(-1)).toMatchObject({ value: { state: 'ended' } });
});

test('a reader that is slow gets all of the output before it is told of the end, which a quick one knows long before', async () => {
  const { edge } = node;
  const sandboxId = await node.create();
  const spec = shell('until [ -e /tmp/go ]; do sleep 0.02; done; seq 1 20000');
  const quick = await edge.deliver('process.start', { sandboxId }, { spec, attach: attachment });
  const attach = { ...attachment, creditBytes: 1_000 };
  const slow = await edge.deliver('process.attach', { sandboxId }, { process: { processId: spec.processId }, attach });
  await edge.until(slow, (events) => events.some(({ t }) => t === 'started'));
  await edge.call('process.start', { sandboxId }, { spec: shell('touch /tmp/go'), attach: attachment });
  const all = textOf(await edge.until(quick, (events) => events.at(-1)?.t === 'exit'));
  expect(all.length).toBeGreaterThan(100_000);
  expect(textOf(edge.events(slow))).toHaveLength(1_000);
  await edge.say({ c: slow, t: 'credit', bytes: 200_000 });
  const events = await edge.until(slow, (told) => told.at(-1)?.t === 'exit');
  expect(textOf(events)).toBe(all);
  expect(events.at(-1)).toMatchObject({ o: all.length, exit: { exitCode: 0 } });
  await edge.call('sandbox.kill', { sandboxId }, { revision: 2, graceMs: 0 });
});

test('after kill -9 the next life adopts the sandbox, and a process in it goes on and can be read again', async () => {
  const { edge } = node;
  const sandboxId = await node.create();
  const spec = shell('for i in $(seq 1 600); do echo $i; sleep 0.1; done');
  const channel = await edge.deliver('process.start', { sandboxId }, { spec, attach: attachment });
  await edge.until(channel, (events) => events.some(({ t }) => t === 'data'));
  await node.stop('SIGKILL');
  await node.start();
  const attach = { ...attachment, fromOffset: 0 };
  const again = await edge.deliver('process.attach', { sandboxId }, { process: { processId: spec.processId }, attach });
  const events = await edge.until(again, (all) => textOf(all).includes('\n5\n'), 15_000);
  expect(events.map(({ t }) => t).slice(0, 2)).toEqual(['accepted', 'started']);
  expect(textOf(events)).toMatch(/^1\n2\n3\n/);
  await edge.call('sandbox.kill', { sandboxId }, { revision: 2, graceMs: 0 });
});

test('after kill -9 a sandbox’s network rules are in force all the time, and the next life knows them', async () => {
  const { edge, installationId } = node;
  const egress = { allow: ['192.0.2.129'], deny: ['192.0.2.128/25'] };
  const sandboxId = await node.create({ network: 'on', egress });
  const rules = async (): Promise<string[]> => {
    const text = await host('iptables-save', '-t', 'security');
    return text
      .split('\n')
      .filter((line) => line.includes(installationId) && /-[SR][0-9a-f]{8} |EGRESS|REPLY/.test(line));
  };
  const before = await rules();
  expect(before.filter((line) => line.startsWith('-A')).length).toBeGreaterThanOrEqual(8);
  await node.stop('SIGKILL');
  const started = new AbortController();
  const watching = (async () => {
    const seen = new Set<string>();
    while (!started.signal.aborted) seen.add((await rules()).join('\n'));
    return [...seen];
  })();
  await node.start();
  started.abort();
  expect(await watching).toEqual([before.join('\n')]);
  // That life has them on record as well: it takes them away when told to, and with the sandbox.
  const changed = { allow: [], deny: ['192.0.2.130'] };
  const outcome = await edge.call('sandbox.network', { sandboxId }, { revision: 2, egress: changed });
  expect(outcome.at(-1)).toMatchObject({ value: { state: 'running' } });
  expect((await rules()).join('\n')).toMatch(/-d 192\.0\.2\.130\/32/);
  expect((await rules()).join('\n')).not.toMatch(/192\.0\.2\.128/);
  await edge.call('sandbox.kill', { sandboxId }, { revision: 3, graceMs: 0 });
  expect((await rules()).join('\n')).not.toMatch(/192\.0\.2\./);
});

test('a sandbox past its deadline ends with no control plane there, and is reported until recorded', async () => {
  node.plane.away = true;
  const sandboxId = await node.create({ ttlMs: 1_000 });
  await waitFor('the sandbox to end', () => node.log().includes('"reason":"timeout"'), 10_000);
  node.plane.away = false;
  const reported = () =>
    node.plane.beats.at(-1)?.sandboxes.some((sandbox) => sandbox.sandboxId === sandboxId && sandbox.state === 'ended');
  await waitFor('the end to be reported', reported, 15_000);
  node.plane.answer = { ...node.plane.answer, recorded: [{ sandboxId, epoch: 1 }] };
  await waitFor('it to be left out', () => reported() !== true, 15_000);
  expect(node.log()).not.toContain('"event":"fatal"');
});
