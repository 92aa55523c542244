import { afterEach, beforeEach, expect, test } from 'vitest';
import { createE2b, type E2b } from './client.ts';

let e2b: E2b;
beforeEach(async () => {
  e2b = await createE2b();
});
afterEach(() => e2b.cleanUp());

test.each([true, false])('a command run by the SDK gives its output and exit code (secure: %s)', async (secure) => {
  const sandbox = await e2b.create({ secure });
  const result = await sandbox.commands.run('echo out; echo err >&2');
  expect(result).toMatchObject({ stdout: 'out\n', stderr: 'err\n', exitCode: 0 });
  await expect(sandbox.commands.run('exit 3')).rejects.toMatchObject({ exitCode: 3 });
});
