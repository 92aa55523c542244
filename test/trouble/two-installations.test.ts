import { rm } from 'node:fs/promises';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startInstallation } from '../../local/installation.ts';
import { createTenant } from '../installation.ts';
import { findLeftovers } from './leftovers.ts';
import { readSandbox, run } from './sandbox-commands.ts';
import { useInstallation } from './use-installation.ts';

const own = useInstallation();

test(
  'two installations on one engine leave each other alone, and one that stops leaves nothing',
  { timeout: 120_000 },
  async () => {
    const tenant = await own.tenant();
    const mine = await tenant.createSandbox();
    await run(tenant, mine.id, 'echo mine > /home/user/file');

    const dataDir = await mkdtemp(join(tmpdir(), 'glovebox-second-'));
    const second = await startInstallation({ dataDir });
    try {
      const stranger = await createTenant({}, second);
      const theirs = await stranger.createSandbox();
      expect(await run(stranger, theirs.id, 'cat /home/user/file 2>&1 || true')).toContain('No such file');
      expect((await stranger.api(`/v1/sandboxes/${mine.id}`)).status).toBe(404);
      expect((await tenant.api('/v1/me', { headers: { authorization: `Bearer ${stranger.key}` } })).status).toBe(401);
      expect(await findLeftovers(second)).not.toEqual([]);
    } finally {
      await second.stop();
    }
    expect(await findLeftovers(second)).toEqual([]);
    expect(await readSandbox(tenant, mine.id)).toMatchObject({ state: 'running' });
    expect(await run(tenant, mine.id, 'cat /home/user/file')).toBe('mine\n');

    const again = await startInstallation({ dataDir });
    try {
      const stranger = await createTenant({}, again);
      const { id } = await stranger.createSandbox();
      expect(await run(stranger, id, 'echo found again')).toBe('found again\n');
    } finally {
      await again.stop();
      await rm(dataDir, { recursive: true, force: true });
    }
    expect(await findLeftovers(again)).toEqual([]);
  },
);
