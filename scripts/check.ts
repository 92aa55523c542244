/** `npm run check`: every static check, all of them run even when one fails, one line each. */
import { spawn } from 'node:child_process';
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';

const root = join(import.meta.dirname, '..');
const deadlineMs = 300_000;

interface Outcome {
  ok: boolean;
  output: string;
}

const run = (command: string, args: readonly string[]): Promise<Outcome> =>
  new Promise((resolve, reject) => {
    const child = spawn(join(root, 'node_modules/.bin', command), args, {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: deadlineMs,
    });
    const chunks: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.on('error', reject);
    child.on('close', (code) => resolve({ ok: code === 0, output: Buffer.concat(chunks).toString() }));
  });

/** Generates into a copy: a new file there means that the schema has moved on without a migration. */
const migrationsUpToDate = async (database: 'directory' | 'cell'): Promise<Outcome> => {
  const scratch = await mkdtemp(join(tmpdir(), 'glovebox-migrations-'));
  try {
    const committed = join(root, 'db/migrations', database);
    await cp(committed, scratch, { recursive: true });
    const generated = await run('drizzle-kit', [
      'generate',
      '--dialect=sqlite',
      `--schema=./db/${database}.ts`,
      // drizzle-kit puts ./ before it; and it exits with 0 also when it has failed.
      `--out=${relative(root, scratch)}`,
    ]);
    const before = new Set(await readdir(committed));
    const added = (await readdir(scratch)).filter((name) => !before.has(name));
    const looked = generated.output.includes('No schema changes');
    if (added.length === 0 && !looked) return { ok: false, output: generated.output };
    return {
      ok: added.length === 0,
      output: `db/${database}.ts has changes without a migration. Run: npx drizzle-kit generate --config db/drizzle.${database}.config.ts`,
    };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
};

const checks: readonly [string, () => Promise<Outcome>][] = [
  ['format', () => run('oxfmt', ['--check', '.'])],
  ['lint', () => run('oxlint', ['--deny-warnings'])],
  ['types: worker', () => run('tsc', ['-p', 'worker'])],
  ['types: runner', () => run('tsc', ['-p', 'runner'])],
  ['types: agent', () => run('tsc', ['-p', 'runner/agent/inside'])],
  ['types: test, local, bench', () => run('tsc', ['-p', 'test'])],
  ['types: what imports the worker into Node', () => run('tsc', ['-p', 'scripts'])],
  ['unused code and dependencies', () => run('knip', ['--no-progress', '--no-config-hints'])],
  ['openapi.json up to date', () => run('node', ['scripts/openapi.ts', '--check'])],
  ['migrations up to date: directory', () => migrationsUpToDate('directory')],
  ['migrations up to date: cell', () => migrationsUpToDate('cell')],
];

let failed = 0;
for (const [name, check] of checks) {
  const startedAt = performance.now();
  const { ok, output } = await check();
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  console.log(`${ok ? '✓' : '✗'} ${name} (${seconds} s)`);
  if (!ok) {
    failed += 1;
    console.log(output.trimEnd());
  }
}
if (failed > 0) {
  console.error(`${failed} of ${checks.length} checks failed.`);
  process.exit(1);
}
