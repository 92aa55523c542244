import { expect, test } from 'vitest';
import type { Context } from '../../worker/core/ports.ts';
import { changeMetadata } from '../../worker/core/sandboxes/change-metadata.ts';
import { createSandbox } from '../../worker/core/sandboxes/create-sandbox.ts';
import { endSandbox } from '../../worker/core/sandboxes/end-sandbox.ts';
import { getLogs } from '../../worker/core/sandboxes/get-logs.ts';
import { createInput, scriptedCell } from './support/scripted-cell.ts';

/** The next batch of the cell is done, or is not, and its answer is lost either way. */
const loseNextAnswer = (context: Context, done: boolean): void => {
  const { cell } = context;
  const batch = cell.batch.bind(cell);
  cell.batch = async (...statements) => {
    cell.batch = batch;
    if (done) await batch(...statements);
    throw new Error('D1_ERROR: Network connection lost.');
  };
};

test('a change whose answer is lost has happened exactly once, or not at all and says so: last_op tells', async () => {
  const { context } = scriptedCell();
  loseNextAnswer(context, true);
  const { sandbox } = await createSandbox(context, createInput);
  expect(sandbox.state).toBe('running');
  loseNextAnswer(context, true);
  expect(await changeMetadata(context, sandbox.id, { a: '1' })).toMatchObject({ metadata: { a: '1' } });
  loseNextAnswer(context, false);
  await expect(changeMetadata(context, sandbox.id, { a: '2' })).rejects.toThrow(/Failed query|connection lost/);
  expect(await endSandbox(context, sandbox.id, 0)).toMatchObject({ state: 'ended', metadata: { a: '1' } });
  const { entries } = await getLogs(context, sandbox.id, { cursor: undefined, limit: 100 });
  const kinds = entries.map((entry) => (entry.type === 'lifecycle' ? entry.event.kind : entry.type));
  expect(kinds).toEqual(['created', 'running', 'metadata', 'ended']);
});

test('a create that was not recorded fails, holds no place, and reaches no runner', async () => {
  const { context, deliveries, released, settled } = scriptedCell();
  loseNextAnswer(context, false);
  await expect(createSandbox(context, createInput)).rejects.toThrow(/Failed query|connection lost/);
  await settled();
  expect(deliveries).toEqual([]);
  expect(released).toHaveLength(1);
});
