import { randomFillSync } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Sandbox } from 'e2b';
import { timed, type Bench } from './bench.ts';
import { growth, withMemoryGrowth } from './components.ts';
import { createE2bSandbox, killE2bSandbox, withE2bSandboxes } from './e2b-sandboxes.ts';
import { Terminal } from './e2b-terminal.ts';
import { waitForWarm } from './measure-create.ts';
import type { E2bResults } from './results.ts';
import { median, megabytesPerSecond, round, summarize } from './statistics.ts';

const COMMANDS = 500;
const WARM_UP_COMMANDS = 50;
/** What the SDK makes of commands.run('true'). */
const COMMAND = ['/bin/bash', '-l', '-c', 'true'];
const BLOCK = 50;
const DOCKER_EXECS_PER_BLOCK = 3;
const CREATES = 60;
const CREATES_PER_DOCKER_RUN = 5;
const SMALL_FILES = 300;
const SMALL_FILE_BYTES = 1024;
const LARGE_FILE_BYTES = 100_000_000;
/** In two halves, after one that is not counted: a leak lifts the lowest that is seen in the second, a garbage collector's to and fro does not. */
const READS_PER_HALF = 4;
const TERMINALS = 50;
const TERMINAL_SANDBOXES = 10;
const KEYS_PER_TERMINAL = 50;
const WARM_UP_KEYS_PER_TERMINAL = 10;
/** Five keys a second: what a quick typist does, here in all terminals. */
const KEY_EVERY_MS = 200;
const PORT = 8000;
const PORT_GETS = 300;
const PORT_DEADLINE_MS = 10_000;

/** The same things as natively, through npm `e2b`: its own work, in the same process, is in each figure. */
export async function measureE2b(bench: Bench): Promise<void> {
  const results: E2bResults = {};
  bench.report.results.e2b = results;
  await withE2bSandboxes(bench, 1, async ([sandbox]) => {
    if (!sandbox) throw new Error('withE2bSandboxes gave none');
    await measureCommands(bench, sandbox, results);
    await measureSmallFiles(bench, sandbox, results);
    await measureLargeRead(bench, sandbox, results);
    await measurePort(bench, sandbox, results);
  });
  await measureTerminals(bench, results);
  await measureCreates(bench, results);
}

async function measureCommands(bench: Bench, sandbox: Sandbox, results: E2bResults): Promise<void> {
  bench.progress(`e2b: ${COMMANDS} × commands.run('true')`);
  const ours: number[] = [];
  const dockers: number[] = [];
  for (let index = 0; index < WARM_UP_COMMANDS; index++) await sandbox.commands.run('true');
  for (let index = 0; index < COMMANDS; index++) {
    ours.push(await timed(() => sandbox.commands.run('true')));
    if (index % BLOCK !== 0 || !bench.host) continue;
    for (let count = 0; count < DOCKER_EXECS_PER_BLOCK; count++) dockers.push(await bench.host.cli.timeExec(COMMAND));
  }
  results.commandMs = summarize(ours);
  if (dockers.length > 0) results.dockerExecMs = { p50: round(median(dockers)) };
}

/** Each of the two is a call of its own; the time is of both. */
async function measureSmallFiles(bench: Bench, sandbox: Sandbox, results: E2bResults): Promise<void> {
  bench.progress(`e2b: ${SMALL_FILES} × files.write and files.read of 1 KB`);
  const times: number[] = [];
  for (let index = 0; index < SMALL_FILES; index++) {
    const content = String(index).padEnd(SMALL_FILE_BYTES, '.');
    let found: string | undefined;
    const elapsedMs = await timed(async () => {
      await sandbox.files.write('small.txt', content);
      found = await sandbox.files.read('small.txt');
    });
    if (found !== content) throw new Error(`file ${index} of 1 KB came back as another`);
    times.push(elapsedMs);
  }
  results.smallFileMs = summarize(times);
}

async function measureLargeRead(bench: Bench, sandbox: Sandbox, results: E2bResults): Promise<void> {
  bench.progress(`e2b: files.read of 100 MB × ${1 + 2 * READS_PER_HALF}`);
  const content = randomFillSync(Buffer.allocUnsafe(LARGE_FILE_BYTES));
  await sandbox.files.write('large.bin', new Blob([content]));
  await readLarge(sandbox, content);
  const readHalf = async () => {
    const times: number[] = [];
    for (let index = 0; index < READS_PER_HALF; index++) times.push(await timed(() => readLarge(sandbox, content)));
    return times;
  };
  const first = await withMemoryGrowth(bench.components, readHalf);
  const second = await withMemoryGrowth(bench.components, readHalf);
  results.readMBps = round(megabytesPerSecond(LARGE_FILE_BYTES, median([...first.value, ...second.value])));
  bench.report.asides.growthMiB.push(
    { what: 'e2bRead', byComponent: first.growthMiB },
    { what: 'e2bReadFloor', byComponent: growth(first.lowestMiB, second.lowestMiB) },
  );
}

/** Compared as it comes and not kept. */
async function readLarge(sandbox: Sandbox, content: Buffer): Promise<void> {
  const stream = await sandbox.files.read('large.bin', { format: 'stream' });
  let offset = 0;
  for await (const chunk of stream) {
    if (content.compare(chunk, 0, chunk.length, offset, Math.min(offset + chunk.length, content.length)) !== 0) {
      throw new Error(`the file differs within ${chunk.length} bytes after ${offset}`);
    }
    offset += chunk.length;
  }
  if (offset !== content.length) throw new Error(`the file has ${offset} bytes instead of ${content.length}`);
}

/** A GET to a server in the sandbox by the SDK's headers: what is in between is the control plane, the runner and the agent. */
async function measurePort(bench: Bench, sandbox: Sandbox, results: E2bResults): Promise<void> {
  bench.progress(`e2b: ${PORT_GETS} × GET to a port`);
  const program = `require('http').createServer((_, answer) => answer.end('here')).listen(${PORT})`;
  const server = await sandbox.commands.run(`node -e "${program}"`, { background: true, timeoutMs: 0 });
  const headers = { 'e2b-sandbox-id': sandbox.sandboxId, 'e2b-sandbox-port': String(PORT) };
  const get = async () => (await fetch(`${bench.service.url}/`, { headers })).text();
  const giveUpAt = performance.now() + PORT_DEADLINE_MS;
  for (let body = await get(); body !== 'here'; body = await get()) {
    if (performance.now() > giveUpAt) throw new Error(`a GET to port ${PORT} gave ${body}`);
    await sleep(50);
  }
  const times: number[] = [];
  for (let index = 0; index < PORT_GETS; index++) {
    times.push(
      await timed(async () => {
        if ((await get()) !== 'here') throw new Error(`a GET to port ${PORT} gave another answer`);
      }),
    );
  }
  results.portGetMs = summarize(times);
  await server.kill();
}

/** All terminals are open and typed into at the same time, each at its pace and at a phase of its own. */
async function measureTerminals(bench: Bench, results: E2bResults): Promise<void> {
  bench.progress(`e2b: ${TERMINALS} terminals, ${1000 / KEY_EVERY_MS} keys a second in each`);
  await withE2bSandboxes(bench, TERMINAL_SANDBOXES, async (sandboxes) => {
    const terminals: Terminal[] = [];
    for (let index = 0; index < TERMINALS / TERMINAL_SANDBOXES; index++) {
      terminals.push(...(await Promise.all(sandboxes.map((sandbox) => Terminal.open(sandbox)))));
    }
    // The containers that take the place of these ten are started meanwhile; they are no part of typing.
    await waitForWarm(bench);
    await typeIntoAll(terminals, WARM_UP_KEYS_PER_TERMINAL);
    results.ptyEchoMs = summarize(await typeIntoAll(terminals, KEYS_PER_TERMINAL));
  });
}

/** Milliseconds from each key to its echo. */
async function typeIntoAll(terminals: readonly Terminal[], keys: number): Promise<number[]> {
  const times: number[] = [];
  const startAt = performance.now();
  const typeInto = async (terminal: Terminal, phaseMs: number) => {
    for (let key = 0; key < keys; key++) {
      await sleep(Math.max(0, startAt + phaseMs + key * KEY_EVERY_MS - performance.now()));
      times.push(await terminal.type(String.fromCharCode('a'.charCodeAt(0) + (key % 26))));
    }
  };
  await Promise.all(terminals.map((terminal, index) => typeInto(terminal, (index / terminals.length) * KEY_EVERY_MS)));
  return times;
}

async function measureCreates(bench: Bench, results: E2bResults): Promise<void> {
  bench.progress(`e2b: ${CREATES} × Sandbox.create, the pool full before each`);
  const ours: number[] = [];
  const dockers: number[] = [];
  for (let index = 0; index < CREATES; index++) {
    await waitForWarm(bench);
    if (bench.host && index % CREATES_PER_DOCKER_RUN === 0) dockers.push(await bench.host.cli.timeRun());
    let sandbox: Sandbox | undefined;
    ours.push(await timed(async () => void (sandbox = await createE2bSandbox(bench))));
    if (sandbox) await killE2bSandbox(bench, sandbox);
  }
  results.createMs = summarize(ours);
  if (dockers.length > 0) results.dockerRunMs = { p50: round(median(dockers)) };
}
