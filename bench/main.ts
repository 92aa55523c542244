/** `npm run bench [-- --json] [-- --only exec,create]`: how fast the service is here and now. Slowness never fails it; wrong answers do. */
import Docker from 'dockerode';
import { imageTag } from '../local/images.ts';
import type { Bench, Host } from './bench.ts';
import { Client } from './client.ts';
import { findComponents, readMemory } from './components.ts';
import { DockerCli } from './docker-cli.ts';
import { measureBurst } from './measure-burst.ts';
import { measureCreate } from './measure-create.ts';
import { measureDisks } from './measure-disks.ts';
import { measureE2b } from './measure-e2b.ts';
import { measureExec, measureThroughput } from './measure-exec.ts';
import { measureFiles } from './measure-files.ts';
import { measureIdle } from './measure-idle.ts';
import { measureStream } from './measure-stream.ts';
import { measureWorker } from './measure-worker.ts';
import { measurements, readOptions, type Measurement } from './options.ts';
import { renderTable } from './render-table.ts';
import { emptyReport, type Report } from './results.ts';
import { findService, type Service } from './service.ts';
import { round } from './statistics.ts';
import { WarmPool } from './warm-pool.ts';

const DEFAULT_SOCKET = '/var/run/docker.sock';

const measures: Record<Measurement, (bench: Bench) => Promise<void>> = {
  worker: measureWorker,
  exec: measureExec,
  throughput: measureThroughput,
  stream: measureStream,
  files: measureFiles,
  disks: measureDisks,
  create: measureCreate,
  burst: measureBurst,
  e2b: measureE2b,
  idle: measureIdle,
};

const progress = (line: string): void => void process.stderr.write(`${line}\n`);

async function findHost({ installationId }: Service, client: Client): Promise<Host | undefined> {
  if (installationId === undefined) return undefined;
  const socketPath = process.env['DOCKER_HOST']?.replace(/^unix:\/\//, '') ?? DEFAULT_SOCKET;
  const docker = new Docker({ socketPath });
  const cli = await DockerCli.start(docker, socketPath, imageTag('base'));
  const { id, network } = await client.createSandbox();
  await client.killSandbox(id);
  return { docker, cli, installationId, pool: new WarmPool(docker, installationId, network) };
}

async function measure(bench: Bench, only: ReadonlySet<Measurement>): Promise<void> {
  if (bench.host) bench.report.asides.poolSize = await bench.host.pool.learnSize();
  for (const name of measurements) {
    if (!only.has(name)) continue;
    await measures[name](bench).catch((error: unknown) => {
      throw new Error(`the measurement "${name}" went wrong`, { cause: error });
    });
    if (name === 'worker') bench.components = await findComponents(bench.service.url);
  }
  bench.report.results.memoryMiB = await tellMemory(bench);
}

/** What the components hold at the end, and by how much each grew at most while 100 MB went through. */
async function tellMemory({ components, report }: Bench): Promise<Record<string, number>> {
  const memory: Record<string, number> = {};
  for (const [name, value] of Object.entries(await readMemory(components))) memory[name] = round(value);
  for (const { what, byComponent } of report.asides.growthMiB) {
    for (const [name, value] of Object.entries(byComponent)) memory[`${name}GrowthBy_${what}`] = round(value);
  }
  return memory;
}

async function run(only: ReadonlySet<Measurement>): Promise<Report> {
  const report = emptyReport();
  const service = await findService(progress);
  const client = new Client(service.url, service.apiKey, 1);
  let host: Host | undefined;
  try {
    host = await findHost(service, client);
    if (!host) report.asides.notes.push('Docker was not measured: the service may be on another machine.');
    const components = await findComponents(service.url);
    await measure({ service, client, report, components, host, progress }, only);
    return report;
  } finally {
    await host?.cli.removeContainers();
    await client.close();
    await service.stop();
  }
}

const { json, only } = readOptions(process.argv.slice(2));
const report = await run(only);
console.log(renderTable(report));
for (const failure of report.asides.failures) console.error(`WRONG: ${failure}`);
if (report.asides.failures.length > 0) process.exitCode = 1;
if (json) console.log(JSON.stringify(report.results));
