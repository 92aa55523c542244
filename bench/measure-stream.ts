import { withSandbox, type Bench } from './bench.ts';
import { withMemoryGrowth } from './components.ts';
import { readEvents } from './server-sent-events.ts';
import { median, megabytesPerSecond, round } from './statistics.ts';

const FIRST_BYTES = 200;
const WARM_UP = 20;
const STREAM_BYTES = 100_000_000;
/** Each line tells where it is, so that a byte lost, repeated or moved is seen. */
const LINE_BYTES = 100;

export async function measureStream(bench: Bench): Promise<void> {
  await withSandbox(bench, async (id) => {
    bench.progress(`stream: first byte × ${FIRST_BYTES}`);
    const waits: number[] = [];
    for (let index = 0; index < WARM_UP + FIRST_BYTES; index++) {
      const waitMs = await timeFirstByte(bench, id);
      if (index >= WARM_UP) waits.push(waitMs);
    }
    bench.report.results.firstByteMs = { p50: round(median(waits)) };

    bench.progress('stream: 100 MB of output');
    const { value: elapsedMs, growthMiB } = await withMemoryGrowth(bench.components, () => streamOutput(bench, id));
    bench.report.results.streamMBps = round(megabytesPerSecond(STREAM_BYTES, elapsedMs));
    bench.report.asides.growthMiB.push({ what: 'stream', byComponent: growthMiB });
  });
}

/** From the request to the first event with output; the rest is read and checked too. */
async function timeFirstByte(bench: Bench, id: string): Promise<number> {
  const startedAt = performance.now();
  let firstAt: number | undefined;
  let output = '';
  for await (const { event, data } of readEvents(await bench.client.execStream(id, 'echo first'))) {
    if (event === 'stdout') {
      firstAt ??= performance.now();
      output += readData(data);
    }
  }
  if (firstAt === undefined || output !== 'first\n') throw new Error(`the stream gave ${JSON.stringify(output)}`);
  return firstAt - startedAt;
}

async function streamOutput(bench: Bench, id: string): Promise<number> {
  const command = `awk 'BEGIN { for (i = 0; i < ${STREAM_BYTES / LINE_BYTES}; i++) printf "%0${LINE_BYTES - 1}d\\n", i }'`;
  const startedAt = performance.now();
  const check = new LineCheck();
  let exitCode: unknown;
  for await (const { event, data } of readEvents(await bench.client.execStream(id, command))) {
    if (event === 'stdout') check.push(readData(data));
    else if (event === 'exit') exitCode = (JSON.parse(data) as { exitCode: number | null }).exitCode;
    else if (event !== 'started') throw new Error(`the stream has ${event}: ${data.slice(0, 500)}`);
  }
  const elapsedMs = performance.now() - startedAt;
  if (exitCode !== 0) throw new Error(`the stream ended with exit code ${String(exitCode)}`);
  check.end();
  return elapsedMs;
}

const readData = (data: string): string => (JSON.parse(data) as { data: string }).data;

/** Looks at each line's number without keeping what came before. */
class LineCheck {
  #rest = '';
  #next = 0;

  push(text: string): void {
    const all = this.#rest + text;
    let at = 0;
    for (; at + LINE_BYTES <= all.length; at += LINE_BYTES) {
      if (Number(all.slice(at, at + LINE_BYTES)) !== this.#next) {
        throw new Error(`line ${this.#next} of the stream is ${JSON.stringify(all.slice(at, at + LINE_BYTES))}`);
      }
      this.#next += 1;
    }
    this.#rest = all.slice(at);
  }

  end(): void {
    const bytes = this.#next * LINE_BYTES + this.#rest.length;
    if (bytes !== STREAM_BYTES) throw new Error(`the stream has ${bytes} bytes instead of ${STREAM_BYTES}`);
  }
}
