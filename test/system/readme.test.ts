import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTenant, installation, type TestTenant } from '../installation.ts';

let tenant: TestTenant;
beforeAll(async () => {
  tenant = await createTenant();
});
afterAll(() => tenant.cleanUp());

test('the README’s transcript works when pasted into a shell, and answers as it says', async () => {
  const readme = await readFile(join(import.meta.dirname, '../../README.md'), 'utf8');
  const transcript = /```console\n(.*?)```/s.exec(readme)?.[1] ?? '';
  // What `npm start` writes for shells is given by the environment here.
  const typed = transcript.match(/^\$ .*$/gm)?.map((line) => line.slice(2)) ?? [];
  expect(typed[0]).toBe('. .glovebox/local.env');
  const env = { ...process.env, GLOVEBOX_URL: installation().url, GLOVEBOX_API_KEY: tenant.key };
  const { stdout } = await promisify(execFile)('bash', ['-euc', typed.slice(1).join('\n')], { env, timeout: 30_000 });
  for (const answer of ['"stdout":"hello from user\\n"', '"writtenBytes":17', '"stdout":"7\\n"', '"state":"ended"']) {
    expect(transcript).toContain(answer);
    expect(stdout).toContain(answer);
  }
  const events = (text: string) => text.match(/^event: \w+$/gm);
  expect(events(stdout)).toEqual(events(transcript));
});
