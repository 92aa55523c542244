/** An engine of our own, in namespaces of its own (mounts, network, pids), so that this machine's engine is left alone. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const DEADLINE_MS = 110_000;
const engineModule = join(import.meta.dirname, '../../local/engine.ts');

const scenario = `
  import { readdirSync, writeFileSync, mkdirSync } from 'node:fs';
  import { acquireEngine } from ${JSON.stringify(engineModule)};
  mkdirSync('/run/glovebox/engine', { recursive: true });
  writeFileSync('/run/glovebox/engine/user-99999-1-killed', '');
  const options = { socketPath: undefined, logFile: '/run/dockerd.log', progress: () => {} };
  const [first, second] = await Promise.all([acquireEngine(options), acquireEngine(options)]);
  const answers = () => second.docker.ping().then(() => true, () => false);
  const seen = { started: await answers() };
  await first.release();
  seen.afterFirstRelease = await answers();
  await second.release();
  seen.afterLastRelease = await answers();
  seen.register = readdirSync('/run/glovebox/engine');
  console.log(JSON.stringify(seen));
`;

test(
  'an engine that we started outlives all its users but the last, one that was killed with -9 not counted',
  { timeout: 120_000 },
  async () => {
    const root = await mkdtemp(join(tmpdir(), 'glovebox-engine-'));
    try {
      const setUp =
        'mount -t tmpfs none /run && mount --bind "$0" /var/lib/docker && exec "$1" --input-type=module -e "$2"';
      const isolated = ['--mount', '--net', '--pid', '--fork', '--kill-child', '--mount-proc'];
      const { stdout } = await promisify(execFile)(
        'unshare',
        [...isolated, 'bash', '-c', setUp, root, process.execPath, scenario],
        { timeout: DEADLINE_MS, killSignal: 'SIGKILL' },
      );
      expect(JSON.parse(stdout)).toEqual({
        started: true,
        afterFirstRelease: true,
        afterLastRelease: false,
        register: [],
      });
    } finally {
      await rm(root, { recursive: true, force: true });
    }
  },
);
