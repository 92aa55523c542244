import { expect, test } from 'vitest';
import { ServiceError, type ErrorCode } from '../../worker/core/errors.ts';
import { createSandbox } from '../../worker/core/sandboxes/create-sandbox.ts';
import { endSandbox } from '../../worker/core/sandboxes/end-sandbox.ts';
import { getSandbox } from '../../worker/core/sandboxes/get-sandbox.ts';
import { listSandboxes } from '../../worker/core/sandboxes/list-sandboxes.ts';
import { createInput, scriptedCell, type Delivery } from './support/scripted-cell.ts';

const [first, second, third, fourth] = ['1', '2', '3', '4'].map((digit) => digit.repeat(16)) as [
  string,
  string,
  string,
  string,
];

const refuse = (code: ErrorCode) => new ServiceError(code, 'The script says so.');
const isCreate = ({ name }: Delivery) => name === 'sandbox.create';

test('a runner that refuses is passed over: the next one makes it, with the next epoch and revision', async () => {
  const cell = scriptedCell({
    runners: [first, second],
    runner: ({ runnerId }) => {
      if (runnerId === first) throw refuse('capacity_exhausted');
    },
  });
  const { sandbox } = await createSandbox(cell.context, createInput);
  expect(sandbox).toMatchObject({ state: 'running', openJob: null, runnerId: second, epoch: 2, revision: 2 });
  expect(cell.deliveries.map(({ runnerId, epoch }) => [runnerId, epoch])).toEqual([
    [first, 1],
    [second, 2],
  ]);
});

test('three runners are asked, no more; then nothing is left behind and the Idempotency-Key is free', async () => {
  const cell = scriptedCell({
    runners: [first, second, third, fourth],
    runner: (delivery) => {
      if (isCreate(delivery)) throw refuse('capacity_exhausted');
    },
  });
  const input = { ...createInput, idempotencyKey: 'again' };
  await expect(createSandbox(cell.context, input)).rejects.toMatchObject({ code: 'capacity_exhausted' });
  await cell.settled();
  expect(cell.deliveries.map(({ name, runnerId }) => [name, runnerId])).toEqual([
    ['sandbox.create', first],
    ['sandbox.create', second],
    ['sandbox.create', third],
    ['sandbox.kill', third],
  ]);
  const { sandboxes } = await listSandboxes(cell.context, {
    by: 'created',
    states: ['ended'],
    metadata: [],
    order: 'desc',
    cursor: undefined,
    limit: 10,
  });
  expect(sandboxes).toMatchObject([{ endReason: 'failed', idempotencyKey: null, env: {} }]);
  expect(cell.released).toEqual([sandboxes[0]?.id]);
});

test('a runner lost in the middle is 503 and not 502: none is left, so it is safe to try again', async () => {
  const cell = scriptedCell({
    runner: (delivery) => {
      if (isCreate(delivery)) throw refuse('runner_lost');
    },
  });
  await expect(createSandbox(cell.context, createInput)).rejects.toMatchObject({ code: 'unavailable', status: 503 });
});

test('what only this template can cause is not tried elsewhere', async () => {
  const cell = scriptedCell({
    runners: [first, second],
    runner: (delivery) => {
      if (isCreate(delivery)) throw refuse('image_unsupported');
    },
  });
  await expect(createSandbox(cell.context, createInput)).rejects.toMatchObject({ code: 'image_unsupported' });
  expect(cell.deliveries.filter(isCreate)).toHaveLength(1);
});

test('a kill that overtakes the create wins: the creator is told, the record says killed', async () => {
  let killed: Promise<unknown> | undefined;
  const cell = scriptedCell({
    runner: async (delivery) => {
      if (!isCreate(delivery)) return;
      killed = endSandbox(cell.context, delivery.sandboxId, 0);
      await killed;
    },
  });
  await expect(createSandbox(cell.context, createInput)).rejects.toMatchObject({ code: 'conflict' });
  await killed;
  const [create, kill] = cell.deliveries;
  expect(kill).toMatchObject({ name: 'sandbox.kill', revision: (create?.revision ?? 0) + 1, epoch: create?.epoch });
  expect(await getSandbox(cell.context, create?.sandboxId ?? '')).toMatchObject({
    state: 'ended',
    endReason: 'killed',
  });
});

test('environment values are on record only until the sandbox runs', async () => {
  const { context } = scriptedCell();
  const { sandbox } = await createSandbox(context, createInput);
  expect((await getSandbox(context, sandbox.id)).env).toEqual({});
});

test('where no runner has network rules: off by default, and on is refused with a sentence', async () => {
  const { context } = scriptedCell({ networks: ['off'] });
  expect((await createSandbox(context, createInput)).sandbox.network).toBe('off');
  const wish = createSandbox(context, { ...createInput, network: 'on' });
  await expect(wish).rejects.toMatchObject({
    code: 'invalid_argument',
    message: expect.stringContaining("network 'off'") as string,
  });
});

test('no runner at all is 503 with Retry-After and leaves no record', async () => {
  const { context } = scriptedCell({ runners: [] });
  await expect(createSandbox(context, createInput)).rejects.toMatchObject({
    code: 'capacity_exhausted',
    retryAfterSeconds: 5,
  });
  const all = {
    by: 'created' as const,
    states: ['creating', 'ended'] as const,
    metadata: [],
    order: 'desc' as const,
    cursor: undefined,
    limit: 10,
  };
  expect((await listSandboxes(context, all)).sandboxes).toEqual([]);
});
