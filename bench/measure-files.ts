import { createHash, randomFillSync } from 'node:crypto';
import { withSandbox, timed, type Bench } from './bench.ts';
import { withMemoryGrowth } from './components.ts';
import { median, megabytesPerSecond, round } from './statistics.ts';

const FILE_BYTES = 100_000_000;
const ROUNDS = 3;
const PATH = '/home/user/bench.bin';

/** 100 MB up and down, the median of three, each checked: up by the sandbox's own sha256sum, down by ours. */
export async function measureFiles(bench: Bench): Promise<void> {
  const content = randomFillSync(Buffer.allocUnsafe(FILE_BYTES));
  const digest = createHash('sha256').update(content).digest('hex');
  await withSandbox(bench, async (id) => {
    bench.progress(`files: 100 MB up × ${ROUNDS}`);
    const up = await withMemoryGrowth(bench.components, () =>
      repeat(async () => {
        const elapsedMs = await timed(() => bench.client.upload(id, PATH, content));
        await bench.client.expectOutput(id, `sha256sum < ${PATH}`, `${digest}  -\n`);
        return elapsedMs;
      }),
    );
    bench.progress(`files: 100 MB down × ${ROUNDS}`);
    const down = await withMemoryGrowth(bench.components, () => repeat(() => download(bench, id, content)));
    bench.report.results.uploadMBps = round(megabytesPerSecond(FILE_BYTES, median(up.value)));
    bench.report.results.downloadMBps = round(megabytesPerSecond(FILE_BYTES, median(down.value)));
    bench.report.asides.growthMiB.push(
      { what: 'upload', byComponent: up.growthMiB },
      { what: 'download', byComponent: down.growthMiB },
    );
  });
}

async function repeat(work: () => Promise<number>): Promise<number[]> {
  const values: number[] = [];
  for (let index = 0; index < ROUNDS; index++) values.push(await work());
  return values;
}

/** Compared as it comes, which costs less than a hash and keeps nothing. */
async function download(bench: Bench, id: string, content: Buffer): Promise<number> {
  const startedAt = performance.now();
  let offset = 0;
  for await (const chunk of await bench.client.download(id, PATH)) {
    if (content.compare(chunk, 0, chunk.length, offset, Math.min(offset + chunk.length, FILE_BYTES)) !== 0) {
      throw new Error(`the download differs within ${chunk.length} bytes after ${offset}`);
    }
    offset += chunk.length;
  }
  if (offset !== FILE_BYTES) throw new Error(`the download has ${offset} bytes instead of ${FILE_BYTES}`);
  return performance.now() - startedAt;
}
