import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readHolder } from '../../local/holder.mjs';
import { tryHold, withMutex } from '../../local/mutex.ts';

const DEADLINE_MS = 10_000;

test('a mutex is held once, tells by whom, and is free again after its release', async () => {
  const name = crypto.randomUUID();
  const held = await tryHold(name, () => 'the first');
  expect(await tryHold(name, () => 'the second')).toBeUndefined();
  expect(await readHolder(name)).toBe('the first');
  await held?.release();
  expect(await readHolder(name)).toBeUndefined();
  await (await tryHold(name, () => 'the third'))?.release();
});

test('two that want it work one after the other', async () => {
  const name = crypto.randomUUID();
  const events: string[] = [];
  const work = (who: string) =>
    withMutex(name, DEADLINE_MS, async () => {
      events.push(`${who} begins`);
      await new Promise(setImmediate);
      events.push(`${who} ends`);
    });
  await Promise.all([work('a'), work('b')]);
  expect(events).toHaveLength(4);
  expect(events[1]).toBe(events[0]?.replace('begins', 'ends'));
});

test('kill -9 of its holder frees it', async () => {
  const name = crypto.randomUUID();
  const script = `import { tryHold } from ${JSON.stringify(join(import.meta.dirname, '../../local/mutex.ts'))};
    await tryHold(${JSON.stringify(name)}, () => 'doomed'); console.log('held'); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  expect(await readHolder(name)).toBe('doomed');
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
  await withMutex(name, DEADLINE_MS, async () => undefined);
});
