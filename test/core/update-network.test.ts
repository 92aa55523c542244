import { expect, test } from 'vitest';
import { ServiceError, type ErrorCode } from '../../worker/core/errors.ts';
import { createSandbox } from '../../worker/core/sandboxes/create-sandbox.ts';
import { getSandbox } from '../../worker/core/sandboxes/get-sandbox.ts';
import { pauseSandbox } from '../../worker/core/sandboxes/pause-sandbox.ts';
import { updateNetwork } from '../../worker/core/sandboxes/update-network.ts';
import { createInput, scriptedCell } from './support/scripted-cell.ts';

const first = { allow: [], deny: ['198.51.100.0/24'] };
const second = { allow: ['203.0.113.7'], deny: ['0.0.0.0/0'] };

const runningWith = async (code?: ErrorCode) => {
  const cell = scriptedCell({
    runner: ({ name }) => {
      if (code !== undefined && name === 'sandbox.network') throw new ServiceError(code, 'The script says so.');
    },
  });
  const { sandbox } = await createSandbox(cell.context, { ...createInput, egress: first });
  return { ...cell, id: sandbox.id };
};

test('rules are replaced as a whole, on record and by the runner, one revision up', async () => {
  const { context, id, deliveries } = await runningWith();
  expect(await updateNetwork(context, id, second)).toMatchObject({ egress: second, openJob: null, revision: 2 });
  expect(await updateNetwork(context, id, { allow: [], deny: [] })).toMatchObject({ egress: { allow: [], deny: [] } });
  expect(deliveries.map(({ name, revision }) => [name, revision])).toEqual([
    ['sandbox.create', 1],
    ['sandbox.network', 2],
    ['sandbox.network', 3],
  ]);
});

test('a change that is known not to have happened leaves the rules that were', async () => {
  const { context, id } = await runningWith('not_started');
  await expect(updateNetwork(context, id, second)).rejects.toMatchObject({ code: 'not_started' });
  expect(await getSandbox(context, id)).toMatchObject({ egress: first, openJob: null });
});

test.each<ErrorCode>(['runner_lost', 'internal', 'deadline_exceeded'])(
  'a change whose fate is unknown (%s) stays open with its rules, for the sweep',
  async (code) => {
    const { context, id } = await runningWith(code);
    await expect(updateNetwork(context, id, second)).rejects.toMatchObject({ code });
    expect(await getSandbox(context, id)).toMatchObject({ state: 'running', egress: second, openJob: 'network' });
  },
);

test('of a paused one they are replaced, too, unless the caller’s dialect has it refused', async () => {
  const { context, id } = await runningWith();
  await pauseSandbox(context, id, true);
  const refused = updateNetwork(context, id, second, { atRest: 'refused' });
  await expect(refused).rejects.toMatchObject({ code: 'sandbox_not_running' });
  expect(await getSandbox(context, id)).toMatchObject({ egress: first, openJob: null });
  expect(await updateNetwork(context, id, second)).toMatchObject({ state: 'paused', egress: second, openJob: null });
});

test('refused: without a network, of rules that are none, and egress for a sandbox with the network off', async () => {
  const { context, id } = await runningWith();
  await expect(updateNetwork(context, id, { allow: [], deny: ['example.com'] })).rejects.toMatchObject({
    code: 'invalid_argument',
  });
  const { sandbox } = await createSandbox(context, { ...createInput, network: 'off' });
  await expect(updateNetwork(context, sandbox.id, second)).rejects.toMatchObject({ code: 'invalid_argument' });
  await expect(createSandbox(context, { ...createInput, network: 'off', egress: second })).rejects.toMatchObject({
    code: 'invalid_argument',
  });
});
