import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { rotateLogs } from '../../local/logs.ts';

test('a log over its bound is kept once and begun anew, also under a process that goes on writing', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'glovebox-logs-'));
  const log = join(dataDir, 'runner.log');
  const descriptor = openSync(log, 'a', 0o600);
  const writer = spawn('sh', ['-c', 'echo before; read go; echo after'], { stdio: ['pipe', descriptor, 'inherit'] });
  closeSync(descriptor);
  try {
    await expect.poll(() => readFile(log, 'utf8'), { timeout: 5_000 }).toBe('before\n');
    await writeFile(join(dataDir, 'secrets.json'), 'not a log, however long');
    await rotateLogs(dataDir, 3);
    writer.stdin?.end('go\n');
    await once(writer, 'exit');
    expect(await readFile(log, 'utf8')).toBe('after\n');
    expect(await readFile(`${log}.1`, 'utf8')).toBe('before\n');
    await rotateLogs(dataDir, 1024);
    expect(await readFile(log, 'utf8')).toBe('after\n');
    expect(await readFile(join(dataDir, 'secrets.json'), 'utf8')).toBe('not a log, however long');
  } finally {
    writer.kill();
    await rm(dataDir, { recursive: true, force: true });
  }
});
