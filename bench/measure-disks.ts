import { timed, type Bench } from './bench.ts';
import { Client } from './client.ts';
import { DiskClient } from './disk-client.ts';
import { median, round, summarize, type Summary } from './statistics.ts';

const DIRECTORIES = 100;
const PER_DIRECTORY = 100;
const ROUNDS = 100;
const TEXTS = 1000;
const TEXT_BYTES = 10_240;
/** One text in ten has what grep looks for. */
const NEEDLE_EVERY = 10;
const GREPS = 5;
/** What a directory's list and a glob answer at most. */
const LIMIT = 100;
const CLIENTS = 8;

/** A disk of 10,000 artifacts in 100 directories, and 1,000 texts beside them; each answer is checked. */
export async function measureDisks(bench: Bench): Promise<void> {
  const crowd = new Client(bench.service.url, bench.service.apiKey, CLIENTS);
  const disk = await DiskClient.create(bench.client);
  try {
    await fill(bench, disk.through(crowd));
    await measureReads(bench, disk);
    await measureGrep(bench, disk);
  } finally {
    await disk.remove();
    await crowd.close();
  }
}

const nameOf = (index: number): string => `file${index}.${index % 2 === 0 ? 'py' : 'md'}`;

async function fill(bench: Bench, disk: DiskClient): Promise<void> {
  bench.progress(`disks: writing ${TEXTS} texts and ${DIRECTORIES * PER_DIRECTORY} artifacts`);
  for (let index = 0; index < PER_DIRECTORY; index++) await disk.put(`/dir0/${nameOf(index)}`, `content ${index}`);
  for (let index = 1; index < DIRECTORIES; index++) await disk.copy('/dir0/', `/dir${index}/`);
  let next = 0;
  const writeSome = async () => {
    for (let index = next++; index < TEXTS; index = next++) {
      await disk.put(`/texts/${index}.txt`, textOf(index));
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, writeSome));
}

/** All different, of words, in lines of about 60 characters. */
function textOf(index: number): string {
  const words = ['the', 'agent', 'wrote', 'this', 'line', 'into', 'file', 'number', 'report', 'value'];
  let text = `text ${index}\n`;
  for (let word = 0; text.length < TEXT_BYTES; word++) {
    text += `${words[(index * 7 + word * 3) % words.length]}${word % 12 === 11 ? `\n${index} ` : ' '}`;
  }
  return index % NEEDLE_EVERY === 0 ? `${text}\nhere is the needle\n` : text;
}

async function measureReads(bench: Bench, disk: DiskClient): Promise<void> {
  bench.progress(`disks: ${ROUNDS} × each way to read and to find`);
  const measure = async (work: (round: number) => Promise<boolean>): Promise<Summary> => {
    const times: number[] = [];
    for (let index = 0; index < ROUNDS; index++) {
      let isRight = false;
      times.push(await timed(async () => void (isRight = await work(index))));
      if (!isRight) throw new Error('a disk gave a wrong answer');
    }
    return summarize(times);
  };
  const directoryOf = (round: number) => `/dir${round % DIRECTORIES}/`;
  const { results } = bench.report;
  results.diskStatMs = await measure(async (round) => {
    const path = `${directoryOf(round)}file3.md`;
    return (await disk.stat(path)).path === path;
  });
  results.diskReadMs = await measure(
    async (round) => (await disk.content(`${directoryOf(round)}file3.md`)) === 'content 3',
  );
  results.diskListMs = await measure(
    async (round) => (await disk.list(directoryOf(round), LIMIT)).artifacts.length === LIMIT,
  );
  results.diskGlobMs = await measure(async (round) => {
    const { artifacts } = await disk.glob(`${directoryOf(round)}*.md`, LIMIT);
    return artifacts.length === PER_DIRECTORY / 2;
  });
  results.diskGlobAllMs = await measure(async (round) => {
    const { artifacts } = await disk.glob(`**/file${round % PER_DIRECTORY}.*`, LIMIT);
    return artifacts.length === DIRECTORIES;
  });
}

async function measureGrep(bench: Bench, disk: DiskClient): Promise<void> {
  bench.progress(`disks: ${GREPS} × grep over ${TEXTS} texts of 10 KB`);
  const times: number[] = [];
  for (let index = 0; index < GREPS; index++) {
    const startedAt = performance.now();
    const { matches, truncated } = await disk.grep('the ne+dle$', '/texts/');
    times.push(performance.now() - startedAt);
    if (matches.length !== TEXTS / NEEDLE_EVERY || truncated) {
      throw new Error(`grep found ${matches.length} texts${truncated ? ' before it gave up' : ''}`);
    }
  }
  bench.report.results.diskGrepMs = { p50: round(median(times)) };
}
