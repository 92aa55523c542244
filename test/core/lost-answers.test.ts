import { expect, test } from 'vitest';
import { changeMetadata } from '../../worker/core/sandboxes/change-metadata.ts';
import { createSandbox } from '../../worker/core/sandboxes/create-sandbox.ts';
import { endSandbox } from '../../worker/core/sandboxes/end-sandbox.ts';
import { getLogs } from '../../worker/core/sandboxes/get-logs.ts';
import { createInput, scriptedCell } from './support/scripted-cell.ts';

test('a change whose answer is lost has happened exactly once, or not at all and says so: last_op tells', async () => {
  const { context, database } = scriptedCell();
  database.loseNextAnswer(true);
  const { sandbox } = await createSandbox(context, createInput);
  expect(sandbox.state).toBe('running');
  database.loseNextAnswer(true);
  expect(await changeMetadata(context, sandbox.id, { a: '1' })).toMatchObject({ metadata: { a: '1' } });
  database.loseNextAnswer(false);
  await expect(changeMetadata(context, sandbox.id, { a: '2' })).rejects.toThrow(/Failed query|connection lost/);
  expect(await endSandbox(context, sandbox.id, 0)).toMatchObject({ state: 'ended', metadata: { a: '1' } });
  const { entries } = await getLogs(context, sandbox.id, {
    order: 'asc',
    fromMs: undefined,
    cursor: undefined,
    limit: 100,
  });
  const kinds = entries.map((entry) => (entry.type === 'lifecycle' ? entry.event.kind : entry.type));
  expect(kinds).toEqual(['created', 'running', 'metadata', 'ended']);
});

test('a create that was not recorded fails, holds no place, and reaches no runner', async () => {
  const { context, database, deliveries, released, settled } = scriptedCell();
  database.loseNextAnswer(false);
  await expect(createSandbox(context, createInput)).rejects.toThrow(/Failed query|connection lost/);
  await settled();
  expect(deliveries).toEqual([]);
  expect(released).toHaveLength(1);
});
