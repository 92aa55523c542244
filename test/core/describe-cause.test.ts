import { expect, test } from 'vitest';
import { describeCause } from '../../worker/core/describe-cause.ts';

test('of a failed query only what the database said is told: its parameters are tenants’ data', () => {
  const failed = new Error('Failed query: insert into sandboxes values (?)\nparams: {"TOKEN":"secret"}', {
    cause: new Error('D1_ERROR: too many SQL variables'),
  });
  const told = describeCause(new Error('the beat was not taken', { cause: failed }));
  expect(told).toContain('the beat was not taken');
  expect(told).toContain('too many SQL variables');
  expect(told).not.toContain('secret');
  // By RPC an error arrives without its cause.
  expect(describeCause(new Error(failed.message))).not.toContain('secret');
});
