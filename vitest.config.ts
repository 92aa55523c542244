import { defineConfig } from 'vitest/config';

/**
 * Three kinds of tests: `unit` needs nothing that runs, or starts what it needs itself; `system` shares one installation and gives
 * each test a tenant of its own; `trouble` breaks things (kills runners, stops Redis), so each of its files has an
 * installation to itself and they run one at a time, after the others.
 */
/** Compares latencies and loads the machine: to be alone, as those of `trouble` are. */
const measuring = ['test/security/bombs.test.ts'];
const common = {
  testTimeout: 60_000,
  hookTimeout: 180_000,
  expect: { poll: { timeout: 10_000 } },
  include: [] as string[],
};

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      {
        test: {
          ...common,
          name: 'unit',
          include: ['test/{agent,bench,core,durable,engine,local,runner,security}/**/*.test.ts'],
          exclude: measuring,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...common,
          name: 'system',
          include: ['test/{api,dialects,disks,exec,files,system}/**/*.test.ts'],
          globalSetup: ['test/global-setup.ts'],
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...common,
          name: 'trouble',
          include: ['test/trouble/**/*.test.ts', ...measuring],
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
