import { expect, test } from 'vitest';
import { History } from '../../runner/sandboxes/history.ts';

const rowBytesMax = 2_000_000;

test('what one heartbeat carries fits a row of D1, whatever the commands are made of', () => {
  const history = new History();
  const record = { startedAtMs: 0, durationMs: 1, exitCode: 0, signal: null, reason: 'exited' };
  for (let count = 0; count < 60; count += 1) {
    history.add('0'.repeat(32), { processId: String(count), command: '\u0001'.repeat(16 * 1024), ...record });
  }
  const reported: string[] = [];
  for (;;) {
    const { history: batch, confirm } = history.batch();
    if (batch.length === 0) break;
    expect(JSON.stringify(batch).length).toBeLessThan(rowBytesMax);
    reported.push(...batch.flatMap(({ records }) => records.map(({ processId }) => processId)));
    confirm();
  }
  expect(reported).toEqual(Array.from({ length: 60 }, (_, count) => String(count)));
  expect(history.droppedRecords).toBe(0);
});
