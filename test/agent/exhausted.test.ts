import { readdir } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AgentContainer } from './agent-container.ts';
import { docker, startAgentContainer } from './agent-container.ts';

let container: AgentContainer;

beforeAll(async () => {
  container = await startAgentContainer();
});
afterAll(() => container.dispose());

/** Enough for the agent to collect and to compile many times. */
const rounds = 1_500;

test('the agent collects and compiles without a thread that it did not start with: a sandbox without a process left can give none', async () => {
  const { session, containerId } = container;
  const tini = (await docker('inspect', '--format', '{{.State.Pid}}', containerId)).trim();
  const agent = (await docker('top', containerId, '-eo', 'pid,ppid'))
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .find(([, parent]) => parent === tini)?.[0];
  const threads = async (): Promise<string[]> => await readdir(`/proc/${agent}/task`);
  const before = await threads();
  for (let round = 0; round < rounds; round += 1) {
    await session.file('list', { path: '/etc', user: 'user', depth: 2 });
  }
  const after = await threads();
  expect(after.filter((thread) => !before.includes(thread))).toEqual([]);
});
