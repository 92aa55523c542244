import fc from 'fast-check';
import { expect, test } from 'vitest';
import { limits } from '../../runner/protocol/limits.ts';
import { CreditBudget } from '../../worker/durable/broker/credit-budget.ts';

test('readers share the shard’s credit; a late one still gets one event’s worth; what is given back can be had again', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 400 }), (readers) => {
      const budget = new CreditBudget();
      const windows = Array.from({ length: readers }, () => budget.take(limits.channelCreditBytes));
      const inFull = windows.filter((bytes) => bytes === limits.channelCreditBytes);
      expect(inFull.length).toBe(Math.min(readers, limits.shardCreditBytes / limits.channelCreditBytes));
      expect(windows.every((bytes) => bytes >= limits.dataEventBytes)).toBe(true);
      for (const bytes of windows) budget.give(bytes);
      expect(budget.take(limits.channelCreditBytes)).toBe(limits.channelCreditBytes);
    }),
  );
});
