import { createHash } from 'node:crypto';
import { execFile } from 'node:child_process';
import { chmod, copyFile, link, mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { AGENT_MOUNT } from './paths.ts';

export interface AgentFolder {
  /** On the node; to be mounted read-only at `mountPath`. */
  folder: string;
  mountPath: string;
  /** The container's command: to be run as uid 0, with `env` and nothing else as its environment, and AGENT_MOUNT as its directory. */
  entrypoint: string[];
  env: string[];
}

/**
 * JavaScriptCore starts threads when it feels like collecting or compiling, and aborts (exit code 134) when it gets none: a sandbox that
 * had used up its processes lost its agent and itself. With these it does all of that on the threads that it has.
 */
const noLateThreads = ['BUN_JSC_useConcurrentGC=0', 'BUN_JSC_useConcurrentJIT=0', 'BUN_JSC_numberOfGCMarkers=1'];

const tiniPath = '/usr/bin/tini-static';
const buildMs = 60_000;
const programPath = join(import.meta.dirname, 'inside', 'main.ts');

/**
 * Makes the folder that every sandbox of this node mounts: Bun, tini and the agent's program. Its name tells its content, so
 * that a newer agent gets another folder and containers that run keep theirs.
 */
export async function prepareAgentFolder(dataDir: string): Promise<AgentFolder> {
  const bun = bunBinary();
  const parent = join(dataDir, 'agent');
  await mkdir(parent, { recursive: true, mode: 0o700 });
  const making = await mkdtemp(join(parent, 'making-'));
  try {
    const program = await bundleProgram(bun, making);
    const folder = join(parent, await contentName(bun, program));
    const answer = {
      folder,
      mountPath: AGENT_MOUNT,
      entrypoint: ['tini', '--', 'bun', '--no-env-file', '--config=/dev/null', 'agent.js'].map((word) =>
        ['tini', 'bun', 'agent.js'].includes(word) ? `${AGENT_MOUNT}/${word}` : word,
      ),
      env: noLateThreads,
    };
    if (await exists(folder)) return answer;
    await linkOrCopy(bun, join(making, 'bun'));
    await copyFile(tiniPath, join(making, 'tini'));
    // Bun looks for these beside the program and then upwards, where the sandbox could put its own.
    await writeFile(join(making, 'package.json'), '{"type":"module"}\n');
    await writeFile(join(making, 'tsconfig.json'), '{}\n');
    await chmodAll(making);
    await rename(making, folder).catch(async (error: unknown) => {
      if (!(await exists(folder))) throw error;
    });
    return answer;
  } finally {
    await rm(making, { recursive: true, force: true });
  }
}

function bunBinary(): string {
  const platform = process.arch === 'arm64' ? 'linux-aarch64' : 'linux-x64';
  return createRequire(import.meta.url).resolve(`@oven/bun-${platform}/bin/bun`);
}

async function bundleProgram(bun: string, folder: string): Promise<Buffer> {
  const out = join(folder, 'agent.js');
  await promisify(execFile)(
    bun,
    ['--no-env-file', 'build', programPath, '--target=bun', '--minify-syntax', `--outfile=${out}`],
    {
      timeout: buildMs,
      env: {},
      cwd: import.meta.dirname,
    },
  );
  return await readFile(out);
}

async function contentName(bun: string, program: Buffer): Promise<string> {
  const hash = createHash('sha256')
    .update(program)
    .update(await readFile(tiniPath));
  // Reading 100 MB at each start would take longer than the rest: a release of Bun differs in one of these.
  const { size, mtimeMs } = await stat(bun);
  return hash.update(`${size}.${mtimeMs}`).digest('hex').slice(0, 16);
}

async function linkOrCopy(from: string, to: string): Promise<void> {
  await link(from, to).catch(() => copyFile(from, to));
}

async function chmodAll(folder: string): Promise<void> {
  await chmod(folder, 0o755);
  for (const name of ['bun', 'tini']) await chmod(join(folder, name), 0o755);
}

const exists = async (path: string): Promise<boolean> =>
  await stat(path).then(
    () => true,
    () => false,
  );
