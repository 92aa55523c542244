import { expect, test } from 'vitest';
import { parseResident } from '../../runner/engine/memory-size.ts';

test('what of a process is in memory and no file’s counts, whoever it shares it with', () => {
  // As Linux 6.18 writes it.
  const status =
    'Name:\tsh\nVmRSS:\t    5000 kB\nRssAnon:\t    1024 kB\nRssFile:\t    3900 kB\nRssShmem:\t      76 kB\nVmData:\t 9 kB\n';
  expect(parseResident(status)).toBe(1100 * 1024);
  expect(parseResident('Name:\tkthreadd\nState:\tS\n')).toBe(0);
});
