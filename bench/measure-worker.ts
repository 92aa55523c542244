import { gzipSync } from 'node:zlib';
import { bundleWorker } from '../local/bundle.ts';
import { timed, type Bench } from './bench.ts';
import { round } from './statistics.ts';

/** How large the worker is, and how long it takes from nothing to its first answer. */
export async function measureWorker(bench: Bench): Promise<void> {
  const { service, client, report } = bench;
  const { script } = await bundleWorker(bench.progress);
  report.asides.bundleKiB = {
    raw: round(Buffer.byteLength(script) / 1024),
    gzip: round(gzipSync(script).length / 1024),
  };
  const { own } = service;
  if (!own) return void report.asides.notes.push('Start-up was not measured: the service was running already.');
  bench.progress('worker: start-up');
  await own.controlPlane.stop();
  report.asides.workerStartMs = round(
    await timed(async () => {
      await own.controlPlane.start();
      await client.health();
    }),
  );
  await own.waitUntilReady();
}
