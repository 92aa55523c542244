import { afterEach, expect, test, vi } from 'vitest';
import { RunnerError } from '../../runner/protocol/errors.ts';
import { readConfig } from '../../runner/config.ts';
import { createLogger } from '../../runner/log.ts';
import type { RuntimeFindings } from '../../runner/sandboxes/runtime-probe.ts';
import { RuntimeProof } from '../../runner/sandboxes/runtime-proof.ts';
import { waitFor } from '../wait-for.ts';
import { EngineDouble } from './support/doubles.ts';
import { startHarness, type Harness } from './support/harness.ts';

const works: RuntimeFindings = { kind: 'gvisor', freezes: true, reachesNetwork: true, keepsAttributes: true };
const warm = { template: 'base', image: 'glovebox/base:latest', network: 'off' as const, count: 1 };
let harness: Harness | undefined;
afterEach(async () => {
  await harness?.close();
  harness = undefined;
});

/** A node under another runtime than runc, whose probe does as the test says. */
async function startUnder(
  probe: (image: string) => Promise<RuntimeFindings>,
  { pool = [warm], offersCheckpoints = true } = {},
): Promise<Harness> {
  const engine = new EngineDouble();
  engine.runtime = 'runsc';
  engine.offersCheckpoints = offersCheckpoints;
  harness = await startHarness({}, engine, ({ image }) => probe(image));
  harness.plane.answer = { ...harness.plane.answer, pool };
  return harness;
}
const lastBeat = ({ plane }: Harness) => plane.beats.at(-1);
const proven = (its: Harness) =>
  waitFor('a beat that takes sandboxes', () => (lastBeat(its)?.sandboxLimit ?? 0) > 0, 15_000);

test('a runtime is named as the engine names it, and nothing else is taken', () => {
  const env = {
    GLOVEBOX_CONTROL_PLANE_URL: 'http://127.0.0.1:1',
    GLOVEBOX_JOIN_TOKEN: 't',
    GLOVEBOX_INSTALLATION_ID: '0123456789ab',
    GLOVEBOX_DATA_DIR: '/d',
  };
  expect(readConfig(env).runtime).toBe('runc');
  expect(readConfig({ ...env, GLOVEBOX_RUNTIME: 'io.containerd.runsc.v1' }).runtime).toBe('io.containerd.runsc.v1');
  for (const GLOVEBOX_RUNTIME of ['', '-x', 'a b', 'a/b', 'x'.repeat(65)]) {
    expect(() => readConfig({ ...env, GLOVEBOX_RUNTIME })).toThrow('GLOVEBOX_RUNTIME');
  }
});

test('until a container of ours has run under it no sandbox is begun: nothing warm, no place; then as usual, but for sizes', async () => {
  const gate = Promise.withResolvers<RuntimeFindings>();
  const its = await startUnder(() => gate.promise);
  const first = its.plane.beats.length;
  await waitFor('two more beats', () => its.plane.beats.length >= first + 2, 40_000);
  expect(lastBeat(its)).toMatchObject({ runtime: 'runsc', sandboxLimit: 0, warm: [] });
  expect(its.engine.starts).toBe(0);
  gate.resolve(works);
  await proven(its);
  await waitFor('checkpoints by its own means', () => lastBeat(its)?.checkpoint === 'gvisor', 15_000);
  await waitFor('a warm one', () => lastBeat(its)?.warm[0]?.count === 1, 15_000);
  const startsOf = async (cpus: number) => {
    const before = its.engine.starts;
    await its.create({ cpus });
    return its.engine.starts - before;
  };
  expect(await startsOf(1)).toBe(1); // the warm one can’t be fitted, so another is started
  expect(its.engine.resizes).toBe(0);
  expect((await its.create()).session.configured).toBeDefined(); // and stays for whom it fits
  expect(its.engine.resizes).toBe(0);
});

test('where nothing can be frozen, pauses keep files only and say so, and running sandboxes give no snapshots', async () => {
  const findings = { ...works, kind: undefined, freezes: false };
  const its = await startUnder(async () => findings, { pool: [{ ...warm, count: 0 }], offersCheckpoints: false });
  await proven(its);
  expect(lastBeat(its)?.checkpoint).toBe('none');
  const { sandboxId } = await its.create();
  const call = async (name: 'sandbox.pause' | 'sandbox.snapshot', rest: object) =>
    (await its.edge.call(name, { sandboxId }, { revision: 2, ...rest })).at(-1);
  expect(await call('sandbox.pause', { memory: true })).toMatchObject({ t: 'error', fault: { code: 'not_supported' } });
  const key = Buffer.alloc(32).toString('base64');
  const snapshot = { snapshotId: '0'.repeat(32), key, passEnvironment: false, memory: true };
  expect(await call('sandbox.snapshot', snapshot)).toMatchObject({ t: 'error', fault: { code: 'not_supported' } });
  const paused = await call('sandbox.pause', { memory: false });
  expect(paused).toMatchObject({ t: 'result', value: { state: 'paused', memoryKept: false } });

  const brief = await its.create({ onTimeout: 'pause', keepMemory: true, ttlMs: 1_000 });
  const atRest = () => {
    const seen = lastBeat(its)?.sandboxes.find((sandbox) => sandbox.sandboxId === brief.sandboxId);
    return seen?.state === 'paused' && seen;
  };
  expect(await waitFor('the pause at its timeout', atRest, 15_000)).toMatchObject({ memoryKept: false });
});

/** A proof of its own, without a node; it tries once an image is named. */
function startProof(outcomes: Record<string, Error | RuntimeFindings>) {
  const tried: string[] = [];
  const lines: string[] = [];
  const lessons: boolean[] = [];
  const proof = new RuntimeProof({
    runtime: 'runsc',
    probe: async (image) => {
      tried.push(image);
      const outcome = outcomes[image];
      if (outcome === undefined || outcome instanceof Error) throw outcome ?? new Error('no such image');
      return outcome;
    },
    engine: { learnRuntime: ({ reachesNetwork }) => lessons.push(reachesNetwork) },
    onProven: () => undefined,
    log: createLogger((line) => lines.push(line)),
  });
  return { proof, tried, lessons, said: () => lines.join('\n') };
}

test('an image that the node lacks or that can’t run says nothing of the runtime: the next is tried', async () => {
  const { proof, tried } = startProof({
    missing: new RunnerError('template_unavailable', 'not here'),
    foreign: new RunnerError('image_unsupported', 'another architecture'),
    good: works,
  });
  proof.tryWith(['missing', 'missing']);
  await proof.settled();
  expect(proof.proven).toBe(false);
  proof.tryWith(['missing', 'foreign', 'good', 'unneeded']);
  await proof.settled();
  expect(proof.proven).toBe(true);
  expect(tried).toEqual(['missing', 'missing', 'foreign', 'good']);
});

test('one that does not work is told with what to set, and tried again after a while, not with every beat', async () => {
  const outcomes: Record<string, Error | RuntimeFindings> = { image: new Error('gVisor: --overlay2=none') };
  const { proof, tried, said } = startProof(outcomes);
  proof.tryWith(['image']);
  await proof.settled();
  expect(said()).toMatch(/runtime_unusable.*daemon\.json.*|.*--overlay2=none/);
  proof.tryWith(['image']);
  await proof.settled();
  expect([proof.proven, tried.length]).toEqual([false, 1]);
  outcomes['image'] = works;
  const later = process.hrtime.bigint() + 31_000_000_000n;
  vi.spyOn(process.hrtime, 'bigint').mockReturnValue(later);
  proof.tryWith(['image']);
  await proof.settled();
  vi.restoreAllMocks();
  expect([proof.proven, tried.length]).toEqual([true, 2]);
});

test('what it can’t do is told in a sentence each', async () => {
  const { proof, lessons, said } = startProof({
    image: { kind: 'gvisor', freezes: false, reachesNetwork: false, keepsAttributes: false },
  });
  proof.tryWith(['image']);
  await proof.settled();
  expect(lessons).toEqual([false]);
  expect(said().match(/gVisor \(runsc\)/g)).toHaveLength(4);
});
