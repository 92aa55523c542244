import { cpus, totalmem } from 'node:os';
import type { Asides, E2bResults, Report, Results } from './results.ts';
import { round, type Summary } from './statistics.ts';

interface Row {
  what: string;
  value: string | undefined;
  target?: string;
  goal?: string;
}

const ms = (value: number | undefined): string | undefined => (value === undefined ? undefined : `${value} ms`);
const unit = (value: number | undefined, name: string): string | undefined =>
  value === undefined ? undefined : `${value} ${name}`.trim();
const spread = (value: Summary | undefined): string | undefined =>
  value && `${value.p50} / ${value.p95} / ${value.p99} ms`;
const ratio = (slower: number | undefined, faster: number | undefined): string | undefined =>
  slower === undefined || faster === undefined ? undefined : `${round(slower / faster)}×`;

/** For people; what was not measured has no line. */
export function renderTable(report: Report): string {
  const { results, asides } = report;
  const rows = [
    ...createRows(results, asides),
    ...execRows(results, asides),
    ...byteRows(results, asides),
    ...diskRows(results),
    ...e2bRows(results.e2b ?? {}),
    ...nodeRows(results, asides),
  ];
  const cells = rows
    .filter(({ value }) => value !== undefined)
    .map(({ what, value = '', target = '', goal = '' }) => [what, value, target, goal]);
  const header = ['what', 'measured', 'target', 'goal'];
  const widths = header.map((title, column) => Math.max(title.length, ...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`;
  const machine = `${new Date().toISOString().slice(0, 10)}, ${cpus().length} × ${cpus()[0]?.model ?? 'CPU'}, ${Math.round(totalmem() / 2 ** 30)} GiB; the client runs on the same machine`;
  return ['', machine, '', line(header), rule, ...cells.map(line), ...asides.notes.map((note) => `\n${note}`), ''].join(
    '\n',
  );
}

function createRows(results: Results, asides: Asides): Row[] {
  const { burst50, ttiMs, dockerRunMs } = results;
  const { warmCreates, coldCreateMs } = asides;
  return [
    { what: 'create → first output, p50 / p95 / p99', value: spread(ttiMs), target: '≤ 25 / – / 60 ms', goal: '18 ms' },
    { what: '  the create alone, p50 / p95 / p99', value: spread(asides.createMs) },
    { what: '  waited for a full pool before it, p50 / p95 / p99', value: spread(asides.warmWaitMs) },
    { what: '  from a warm container', value: warmCreates && `${warmCreates.warm} of ${warmCreates.of}` },
    { what: '`docker run … echo`, p50', value: ms(dockerRunMs?.p50) },
    { what: '  create → first output is quicker by', value: ratio(dockerRunMs?.p50, ttiMs?.p50) },
    {
      what: 'create with an empty pool, p50',
      value: coldCreateMs && `${coldCreateMs.p50} ms (× ${coldCreateMs.count})`,
    },
    { what: 'warm containers in a full pool', value: unit(asides.poolSize, '') },
    { what: 'refills of the pool', value: unit(asides.refillsPerSecond, 'per second') },
    { what: '50 creates at once: succeeded', value: burst50 && `${burst50.ok}`, target: '50' },
    { what: '  of them found a warm container', value: unit(asides.burstWarm, '') },
    { what: '50 creates at once: p50', value: ms(burst50?.p50Ms), target: '≤ 300 ms' },
    { what: '50 creates at once: all done after', value: ms(burst50?.wallMs) },
  ];
}

function execRows(results: Results, asides: Asides): Row[] {
  const { execMs, dockerExecMs } = results;
  return [
    {
      what: 'exec `["true"]`, one client, p50 / p95 / p99',
      value: spread(execMs),
      target: '≤ 5 / – / 25 ms',
      goal: '3 / – / 10 ms',
    },
    { what: '  GET /healthz by the same client, p50 / p95 / p99', value: spread(asides.healthzMs) },
    { what: '  the same as a string, run by bash, p50 / p95 / p99', value: spread(asides.shellMs) },
    { what: '`docker exec … true`, p50', value: ms(dockerExecMs?.p50) },
    { what: '  exec is quicker by', value: ratio(dockerExecMs?.p50, execMs?.p50), target: '≥ 10×' },
    {
      what: 'exec `["true"]`, 32 clients over 8 sandboxes',
      value: unit(results.execPerSecond, 'per second'),
      target: '≥ 500',
      goal: '1000',
    },
    { what: '  latency meanwhile, p50 / p95 / p99', value: spread(asides.throughputMs) },
  ];
}

function byteRows(results: Results, asides: Asides): Row[] {
  const growth = asides.growthMiB.map(({ what, byComponent }) => ({
    what:
      what === 'e2bReadFloor' ? '  its lowest rose in as many more reads by' : `  memory grew during ${what}, at most`,
    value: Object.entries(byComponent)
      .map(([name, value]) => `${name} ${round(value)}`)
      .join(', ')
      .concat(' MiB'),
    target: 'flat',
  }));
  return [
    { what: 'first byte of a streamed command, p50', value: ms(results.firstByteMs?.p50), target: '≤ 8 ms' },
    { what: '100 MB of output streamed', value: unit(results.streamMBps, 'MB/s') },
    { what: '100 MB file up', value: unit(results.uploadMBps, 'MB/s'), target: '≥ 150 MB/s' },
    { what: '100 MB file down', value: unit(results.downloadMBps, 'MB/s'), target: '≥ 150 MB/s' },
    ...growth,
  ];
}

function diskRows(results: Results): Row[] {
  const target = '≤ 20 / – / – ms';
  return [
    { what: 'disk of 10,000: properties of one, p50 / p95 / p99', value: spread(results.diskStatMs), target },
    { what: '  content of one (9 bytes), p50 / p95 / p99', value: spread(results.diskReadMs), target },
    { what: '  list of a directory of 100, p50 / p95 / p99', value: spread(results.diskListMs), target },
    { what: '  glob `/dir7/*.md`, p50 / p95 / p99', value: spread(results.diskGlobMs), target },
    { what: '  glob `**/file7.*` (looks at all), p50 / p95 / p99', value: spread(results.diskGlobAllMs), target },
    { what: 'grep over 1,000 texts of 10 KB, p50', value: ms(results.diskGrepMs?.p50), target: '≤ 1000 ms' },
  ];
}

function e2bRows(results: E2bResults): Row[] {
  const { commandMs, createMs, dockerExecMs, dockerRunMs } = results;
  return [
    { what: "E2B: commands.run('true'), p50 / p95 / p99", value: spread(commandMs), target: '≤ 8 / – / – ms' },
    { what: '  `docker exec` of the same, p50', value: ms(dockerExecMs?.p50) },
    { what: '  commands.run is quicker by', value: ratio(dockerExecMs?.p50, commandMs?.p50) },
    { what: 'E2B: Sandbox.create, p50 / p95 / p99', value: spread(createMs), target: '≤ 40 / – / – ms' },
    { what: '  `docker run … echo`, p50', value: ms(dockerRunMs?.p50) },
    { what: '  Sandbox.create is quicker by', value: ratio(dockerRunMs?.p50, createMs?.p50) },
    {
      what: 'E2B: files.write + files.read of 1 KB, p50 / p95 / p99',
      value: spread(results.smallFileMs),
      target: '≤ 12 / – / – ms',
    },
    { what: 'E2B: files.read of 100 MB', value: unit(results.readMBps, 'MB/s'), target: '≥ 100 MB/s' },
    {
      what: 'E2B: key to echo, 50 terminals at once, p50 / p95 / p99',
      value: spread(results.ptyEchoMs),
      target: '– / ≤ 30 / – ms',
    },
    { what: 'E2B: GET to a port, p50 / p95 / p99', value: spread(results.portGetMs) },
  ];
}

function nodeRows(results: Results, asides: Asides): Row[] {
  const { idle, bundleKiB } = asides;
  const memory = Object.entries(results.memoryMiB ?? {}).filter(([name]) => !name.includes('GrowthBy_'));
  return [
    { what: 'idle sandbox', value: unit(results.idleSandboxMiB, 'MiB'), target: '≤ 20 MiB' },
    { what: '  of it container (tini, agent) / shim', value: idle && `${idle.containerMiB} / ${idle.shimMiB} MiB` },
    { what: '  by what the node has less, everything counted', value: unit(idle?.nodeMiB, 'MiB') },
    { what: 'idle sandboxes at once', value: idle && `${idle.count}`, target: '100' },
    { what: 'worker: start to first answer', value: ms(asides.workerStartMs) },
    { what: 'worker: bundle / gzip', value: bundleKiB && `${bundleKiB.raw} / ${bundleKiB.gzip} KiB` },
    {
      what: 'resident memory at the end',
      value: memory.length === 0 ? undefined : `${memory.map(([name, value]) => `${name} ${value}`).join(', ')} MiB`,
    },
  ];
}
