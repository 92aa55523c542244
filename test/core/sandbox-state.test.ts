import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { openJobs, persistedStates } from '../../db/enums.ts';
import {
  allows,
  everyRecord,
  publicStateOf,
  publicStates,
  recordsOf,
  refusalOf,
  verbs,
  type StateOfRecord,
  type Verb,
} from '../../worker/core/sandbox-state.ts';

const record = fc.constantFrom(...everyRecord);
const verb = fc.constantFrom(...verbs);

test('every record reads as exactly one public state, and every public state is some record', () => {
  expect(everyRecord).toHaveLength(persistedStates.length * (openJobs.length + 1));
  const covered = publicStates.flatMap(recordsOf);
  expect(covered).toHaveLength(everyRecord.length);
  for (const state of publicStates) expect(recordsOf(state).length).toBeGreaterThan(0);
});

test('recordsOf is the inverse of publicStateOf', () => {
  fc.assert(
    fc.property(record, (one) => {
      expect(recordsOf(publicStateOf(one))).toContainEqual(one);
    }),
  );
});

test('an ended sandbox reads as ended and allows nothing, whatever job is left on its row', () => {
  fc.assert(
    fc.property(fc.constantFrom(...openJobs, null), verb, (openJob, one) => {
      const ended: StateOfRecord = { state: 'ended', openJob };
      expect(publicStateOf(ended)).toBe('ended');
      expect(allows(one, ended)).toBe(false);
      expect(refusalOf(one, ended).code).toBe('sandbox_ended');
    }),
  );
});

test('kill is allowed in every other record, and from then on nothing but another kill', () => {
  fc.assert(
    fc.property(record, verb, (before, next) => {
      fc.pre(before.state !== 'ended');
      expect(allows('kill', before)).toBe(true);
      const killing: StateOfRecord = { ...before, openJob: 'kill' };
      expect(publicStateOf(killing)).toBe('ending');
      expect(allows(next, killing)).toBe(next === 'kill');
    }),
  );
});

test('no verb but kill and deadline begins while a lifecycle job is open', () => {
  fc.assert(
    fc.property(record, fc.constantFrom<Verb>('pause', 'resume', 'deadline'), (one, lifecycle) => {
      fc.pre(one.openJob !== null && !(lifecycle === 'deadline' && one.openJob === 'deadline'));
      expect(allows(lifecycle, one)).toBe(false);
    }),
  );
});

test('every refusal is 409 or 410 and a sentence', () => {
  fc.assert(
    fc.property(record, verb, (one, refused) => {
      fc.pre(!allows(refused, one));
      const error = refusalOf(refused, one);
      expect([409, 410]).toContain(error.status);
      expect(error.message).toMatch(/^The sandbox .+\.$/);
    }),
  );
});
