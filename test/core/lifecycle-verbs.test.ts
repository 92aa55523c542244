import { expect, test } from 'vitest';
import { sandboxEvents } from '../../db/cell.ts';
import { errorFromRunner, ServiceError, type ErrorCode } from '../../worker/core/errors.ts';
import { publicStateOf } from '../../worker/core/sandbox-state.ts';
import { changeMetadata } from '../../worker/core/sandboxes/change-metadata.ts';
import { createSandbox } from '../../worker/core/sandboxes/create-sandbox.ts';
import { endSandbox } from '../../worker/core/sandboxes/end-sandbox.ts';
import { getSandbox } from '../../worker/core/sandboxes/get-sandbox.ts';
import { pauseSandbox } from '../../worker/core/sandboxes/pause-sandbox.ts';
import { resumeSandbox } from '../../worker/core/sandboxes/resume-sandbox.ts';
import { setDeadline } from '../../worker/core/sandboxes/set-deadline.ts';
import { createInput, scriptedCell } from './support/scripted-cell.ts';

/** A running sandbox whose runner answers `name` with this error from now on. */
const runningWith = async (name: string, code: ErrorCode) => {
  const cell = scriptedCell({
    runner: (delivery) => {
      if (delivery.name === name) throw new ServiceError(code, 'The script says so.');
    },
  });
  const { sandbox } = await createSandbox(cell.context, createInput);
  return { ...cell, id: sandbox.id };
};

test.each<ErrorCode>(['not_started', 'unavailable', 'runner_lost', 'deadline_exceeded'])(
  'a kill that cannot be delivered now (%s) is on record and reads as ending',
  async (code) => {
    const { context, id } = await runningWith('sandbox.kill', code);
    expect(publicStateOf(await endSandbox(context, id, 0))).toBe('ending');
    const row = await getSandbox(context, id);
    expect(row).toMatchObject({ state: 'running', openJob: 'kill', revision: 2 });
    expect(row.openJobDeadlineMs).toBeGreaterThan(Date.now());
    await expect(changeMetadata(context, id, { a: 'b' })).rejects.toMatchObject({ code: 'sandbox_ended' });
  },
);

test('a kill of a sandbox that its runner no longer has ends the record', async () => {
  const { context, id } = await runningWith('sandbox.kill', 'sandbox_ended');
  expect(await endSandbox(context, id, 0)).toMatchObject({ state: 'ended', endReason: 'killed', openJob: null });
});

test('whoever is told that a sandbox has ended finds its place free', async () => {
  const { context, id, released } = await runningWith('sandbox.pause', 'not_started');
  await endSandbox(context, id, 0);
  expect(released).toEqual([id]);
});

test('a pause that is known not to have happened leaves the sandbox running', async () => {
  const { context, id } = await runningWith('sandbox.pause', 'not_started');
  await expect(pauseSandbox(context, id, true)).rejects.toMatchObject({ code: 'not_started' });
  expect(publicStateOf(await getSandbox(context, id))).toBe('running');
});

test('a pause whose fate is unknown stays open for the sweep', async () => {
  const { context, id } = await runningWith('sandbox.pause', 'runner_lost');
  await expect(pauseSandbox(context, id, true)).rejects.toMatchObject({ code: 'runner_lost' });
  expect(publicStateOf(await getSandbox(context, id))).toBe('pausing');
});

test('a resume that is known not to have happened leaves it paused; one whose fate is unknown reads as resuming', async () => {
  for (const [code, state] of [
    ['not_started', 'paused'],
    ['runner_lost', 'resuming'],
  ] as const) {
    const { context, id } = await runningWith('sandbox.resume', code);
    await pauseSandbox(context, id, true);
    await expect(resumeSandbox(context, id, undefined)).rejects.toMatchObject({ code });
    expect(publicStateOf(await getSandbox(context, id))).toBe(state);
  }
});

test('a resume that the runner itself refused leaves it paused; where its engine failed in the middle, or it does not know, it reads as resuming', async () => {
  for (const [code, state] of [
    ['agent_unavailable', 'paused'],
    ['capacity_exhausted', 'paused'],
    ['engine_failed', 'resuming'],
    ['internal', 'resuming'],
    ['deadline_exceeded', 'resuming'],
  ] as const) {
    const { context } = scriptedCell({
      runner: ({ name }) => {
        if (name === 'sandbox.resume') throw errorFromRunner({ code, message: 'The script says so.' });
      },
    });
    const { sandbox } = await createSandbox(context, createInput);
    await pauseSandbox(context, sandbox.id, true);
    await expect(resumeSandbox(context, sandbox.id, undefined)).rejects.toMatchObject({ runnerCode: code });
    expect([code, publicStateOf(await getSandbox(context, sandbox.id))]).toEqual([code, state]);
  }
});

test.each([
  ['not_started', true],
  ['runner_lost', false],
] as const)(
  'a resume without memory that was %s: the record tells the memory kept (%s) as it is, or as it was asked to become',
  async (code, memoryKept) => {
    const cell = scriptedCell({
      runner: ({ name }) => {
        if (name === 'sandbox.resume') throw new ServiceError(code, 'The script says so.');
      },
      outcome: ({ name }) => (name === 'sandbox.pause' ? { memoryKept: true, memoryFreed: false } : {}),
    });
    const { sandbox } = await createSandbox(cell.context, createInput);
    await pauseSandbox(cell.context, sandbox.id, true);
    await expect(resumeSandbox(cell.context, sandbox.id, undefined, false)).rejects.toMatchObject({ code });
    expect(await getSandbox(cell.context, sandbox.id)).toMatchObject({ state: 'paused', memoryKept });
  },
);

test('a deadline whose fate is unknown leaves the earlier of the two on record: a lower bound', async () => {
  const { context, id } = await runningWith('sandbox.deadline', 'runner_lost');
  const before = await getSandbox(context, id);
  await expect(setDeadline(context, id, 3000)).rejects.toMatchObject({ code: 'runner_lost' });
  expect(await getSandbox(context, id)).toMatchObject({
    state: 'running',
    openJob: null,
    expiresAtMs: before.expiresAtMs,
  });
  await expect(setDeadline(context, id, 5)).rejects.toMatchObject({ code: 'runner_lost' });
  expect((await getSandbox(context, id)).expiresAtMs).toBeLessThan(Date.now() + 6_000);
});

test('a metadata change in the middle of a pause does not defeat it', async () => {
  const cell = scriptedCell({
    runner: async ({ name, sandboxId }) => {
      if (name === 'sandbox.pause') await changeMetadata(cell.context, sandboxId, { during: 'pause' });
    },
  });
  const { sandbox } = await createSandbox(cell.context, createInput);
  const paused = await pauseSandbox(cell.context, sandbox.id, true);
  expect(paused.sandbox).toMatchObject({ state: 'paused', openJob: null, metadata: { during: 'pause' } });
});

test('a kill in the middle of a pause wins, and the pause is told', async () => {
  const cell = scriptedCell({
    runner: async ({ name, sandboxId }) => {
      if (name === 'sandbox.pause') await endSandbox(cell.context, sandboxId, 0);
    },
  });
  const { sandbox } = await createSandbox(cell.context, createInput);
  await expect(pauseSandbox(cell.context, sandbox.id, true)).rejects.toMatchObject({ code: 'conflict' });
  expect(await getSandbox(cell.context, sandbox.id)).toMatchObject({ state: 'ended', endReason: 'killed' });
});

test('processes that could not be brought back are told of in the log of the sandbox that runs on without them', async () => {
  const cell = scriptedCell({
    outcome: ({ name }) => (name === 'sandbox.pause' ? { memoryKept: true, memoryFreed: true } : { memoryKept: false }),
  });
  const { sandbox } = await createSandbox(cell.context, createInput);
  await pauseSandbox(cell.context, sandbox.id, true);
  expect(await resumeSandbox(cell.context, sandbox.id, undefined)).toMatchObject({ state: 'running' });
  const events = await cell.context.cell.select().from(sandboxEvents);
  expect(events.at(-1)?.message).toMatch(/files only/);
});
