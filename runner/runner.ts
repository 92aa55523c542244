import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { adopt } from './adoption.ts';
import type { AgentSession } from './agent/session.ts';
import { connectRedis, whenReady } from './channels/connection.ts';
import { Conversations } from './channels/conversations.ts';
import { Inbound } from './channels/inbound.ts';
import { Presence } from './channels/presence.ts';
import { Publisher } from './channels/publisher.ts';
import { RedisClock } from './channels/redis-clock.ts';
import { within } from './clock.ts';
import type { RunnerConfig } from './config.ts';
import { Consumer } from './consumer.ts';
import type { ControlPlane } from './control-plane.ts';
import { EngineWatch } from './engine-watch.ts';
import { WarmPool } from './engine/pool.ts';
import type { ContainerEngine, EngineReport } from './engine/port.ts';
import { Controls } from './handlers/control.ts';
import { handleExec } from './handlers/exec.ts';
import type { HandlerContext } from './handlers/handler.ts';
import { handleLifecycle, killByDirective } from './handlers/lifecycle.ts';
import { pauseAtTimeout } from './handlers/sandbox-timeout.ts';
import { Heart } from './heartbeat.ts';
import { openJournal, type Journal } from './journal.ts';
import type { Logger } from './log.ts';
import type { EgressRules } from './protocol/egress.ts';
import { PortConnections } from './ports/connections.ts';
import { createPortSockets } from './ports/sockets.ts';
import { inStreamName } from './protocol/ids.ts';
import type { HeartbeatAnswer, JoinAnswer } from './protocol/node-report.ts';
import { Capacity, memoryAvailableMiB } from './sandboxes/capacity.ts';
import type { probeCheckpoint } from './sandboxes/checkpoint-probe.ts';
import type { probeRuntime } from './sandboxes/runtime-probe.ts';
import { RuntimeProof } from './sandboxes/runtime-proof.ts';
import { Checkpointing } from './sandboxes/checkpointing.ts';
import { Containers, socketDirOf } from './sandboxes/containers.ts';
import { History } from './sandboxes/history.ts';
import { Lanes } from './sandboxes/lanes.ts';
import { Snapshots } from './snapshots/snapshots.ts';
import { SandboxTable } from './sandboxes/table.ts';
import { UsageSampler } from './sandboxes/usage-sampler.ts';
import { createTransfers, portTransfers } from './transfers.ts';

const REDIS_READY_MS = 15_000;
const SWEEP_MS = 10 * 60 * 1000;
/** Of a stop: the last words to the control plane, to the readers, and the lifecycle jobs under way. */
const LAST_BEAT_MS = 2_000;
const LAST_EVENTS_MS = 1_000;
const LAST_JOBS_MS = 10_000;

export interface RunnerParts {
  config: RunnerConfig;
  controlPlane: ControlPlane;
  /** Made once the runner has joined: what sandboxes must not reach is known by then. */
  openEngine: (joined: JoinAnswer) => Promise<ContainerEngine>;
  openSession: (socketDir: string) => Promise<AgentSession>;
  probeCheckpoint: typeof probeCheckpoint;
  probeRuntime: typeof probeRuntime;
  /** Of what the pool holds. */
  warmSize: { cpus: number; memoryMiB: number; diskMiB: number };
  /** The runner can't go on; its sandboxes can. Whoever supervises the process starts it again. */
  onFatal: (error: Error) => void;
  signal: AbortSignal;
  log: Logger;
}

/** One life of the runner: from joining to the last beat. */
export interface Runner {
  readonly runnerId: string;
  readonly boot: string;
  /** Takes no more, finishes what is under way. `remove`: ends all sandboxes and cleans the engine; else they live on. */
  stop(remove: boolean): Promise<void>;
}

export async function startRunner(parts: RunnerParts): Promise<Runner> {
  const { config, log } = parts;
  const journal = openJournal(join(config.dataDir, 'journal.sqlite'));
  const joined = await joinCell(parts, journal);
  const boot = randomBytes(16).toString('hex');
  log.info('joined', { runnerId: joined.runnerId, cell: joined.cell, boot });

  const engine = await parts.openEngine(joined);
  const report = await engine.prepare(egressOnRecord(journal));
  for (const note of report.notes) log.info('engine_note', { note });
  let heart: Heart | undefined;
  // The control plane makes the runner's Redis user anew when it hears of the runner.
  const onDenied = () => void heart?.beat();
  const delivery = await openDelivery(joined, { log, onDenied });
  const pool = openPool(parts, engine);
  const reportSoon = () => heart?.beatSoon();
  const reportHistory = async (sandboxId: string) => heart?.reportHistory(sandboxId);
  const lanes = new Lanes();
  const made = { journal, engine, report, pool, joined, delivery, lanes, reportSoon, reportHistory };
  const context = createContext(parts, made);
  const runtime = openRuntime(parts, report, context);
  await context.snapshots.open();
  await adopt({
    ...context,
    openSession: parts.openSession,
    dataDir: config.dataDir,
    kernelBoot: kernelBoot(),
  });

  const inbound = openInbound(context, delivery, inStreamName(joined.runnerId, boot));
  const presence = new Presence({
    redis: delivery.commands,
    runnerId: joined.runnerId,
    boot,
    inbound,
    clock: delivery.clock,
    log,
  });
  const consumer = new Consumer({
    redis: delivery.bull,
    runnerId: joined.runnerId,
    onExec: (name, data) => handleExec(context, name, data),
    onLifecycle: (name, data) => handleLifecycle(context, lanes, name, data),
    log,
  });
  context.usage.start();
  const watch = new EngineWatch({ ...context, pool, lanes });
  const beating = new Heart({
    controlPlane: parts.controlPlane,
    engine,
    credentials: joined,
    boot,
    node: { region: config.region, sandboxLimit: config.sandboxLimit, dataDir: config.dataDir, report },
    runtime,
    sandboxes: context.sandboxes,
    checkpointing: context.checkpointing,
    history: context.history,
    warm: () => pool.stats().map(({ template, network, ready }) => ({ template, network, count: ready })),
    obey: (answer) => obey({ context, lanes, pool, runtime }, answer),
    onRefused: parts.onFatal,
    log,
  });

  heart = beating;
  await presence.start();
  await inbound.start();
  watch.start();
  await consumer.start();
  await beating.start();
  const sweeping = setInterval(() => context.sandboxes.sweep(), SWEEP_MS);
  log.info('ready', { runnerId: joined.runnerId, engine: report.engine, runtime: report.runtime });

  return {
    runnerId: joined.runnerId,
    boot,
    stop: async (remove) => {
      log.info('stopping', { remove });
      clearInterval(sweeping);
      await patiently(beating.drain(), LAST_BEAT_MS, 'last beat', log);
      await patiently(consumer.stop(), LAST_JOBS_MS, 'lifecycle jobs', log);
      await patiently(lanes.idle(), LAST_JOBS_MS, 'lifecycle jobs', log);
      // Sandboxes that go on are the next life's, with all who read of them; those that end tell their readers so first.
      if (!remove) context.conversations.detachAll();
      await patiently(runtime.settled(), LAST_JOBS_MS, 'runtime probe', log);
      await patiently(context.checkpointing.settled(), LAST_JOBS_MS, 'checkpoint probe', log);
      if (remove) await removeAll(context, log);
      await watch.stop();
      await context.usage.stop();
      await pool.close();
      context.sandboxes.stop();
      context.containers.stop();
      if (remove) await patiently(beating.beat(), LAST_BEAT_MS, 'last beat', log);
      await delivery.publisher.drain(LAST_EVENTS_MS);
      await inbound.stop();
      await presence.stop();
      delivery.close();
      await (remove ? engine.dispose() : engine.close());
      if (remove) await patiently(parts.controlPlane.leave(joined), LAST_BEAT_MS, 'leave', log);
      await context.snapshots.close(remove);
      await context.transfers.close();
      await context.portTransfers.close();
      journal.close();
    },
  };
}

/** By container: rules that must not lapse while this life begins. */
function egressOnRecord(journal: Journal): Map<string, EgressRules> {
  const alive = journal.sandboxes().filter(({ state }) => state !== 'creating' && state !== 'ended');
  return new Map(alive.flatMap(({ containerId, egress }) => (containerId === null ? [] : [[containerId, egress]])));
}

async function joinCell(parts: RunnerParts, journal: Journal): Promise<JoinAnswer> {
  const { config, controlPlane, signal } = parts;
  const previous = journal.identity();
  const request = { name: config.name, installationId: config.installationId, ...(previous ? { previous } : {}) };
  const joined = await controlPlane.join(request, signal);
  journal.saveIdentity({ runnerId: joined.runnerId, secret: joined.secret });
  return joined;
}

type Delivery = Awaited<ReturnType<typeof openDelivery>>;

/** Four kinds of connection: one that must answer promptly, one that blocks on the in-stream, and BullMQ's, which are patient. */
async function openDelivery(joined: JoinAnswer, parts: { log: Logger; onDenied: () => void }) {
  const connect = (what: string, kind: 'prompt' | 'patient') =>
    connectRedis(joined.redisUrl, `runner-${joined.runnerId}-${what}`, kind, parts);
  const commands = connect('commands', 'prompt');
  const blocking = connect('in', 'prompt');
  const bull = connect('jobs', 'patient');
  await Promise.all([commands, blocking, bull].map((redis) => whenReady(redis, REDIS_READY_MS)));
  const clock = new RedisClock(commands);
  await clock.measure();
  const publisher = new Publisher(commands, parts.log);
  return {
    commands,
    blocking,
    bull,
    clock,
    publisher,
    close: () => [commands, blocking, bull].forEach((redis) => redis.disconnect()),
  };
}

function createContext(
  parts: RunnerParts,
  made: {
    journal: Journal;
    engine: ContainerEngine;
    pool: WarmPool;
    joined: JoinAnswer;
    delivery: Delivery;
    report: EngineReport;
    lanes: Lanes;
    reportSoon: () => void;
    reportHistory: HandlerContext['reportHistory'];
  },
): HandlerContext {
  const { config, log, openSession, warmSize } = parts;
  const { journal, engine, report, pool, joined, delivery, lanes, reportSoon, reportHistory } = made;
  const { dataDir } = config;
  const containers = new Containers({
    engine,
    pool,
    openSession,
    dataDir,
    warmSize,
    log,
    resizes: report.provenRuntime,
  });
  const probe = (image: string) =>
    containers.withSlot((slot) => parts.probeCheckpoint({ engine, openSession, dataDir, image, slot }));
  const sandboxes = new SandboxTable({
    journal,
    engine,
    containers,
    kernelBoot: kernelBoot(),
    onEnded: reportSoon,
    onDue: (sandbox) => pauseAtTimeout(context, lanes, sandbox),
    log,
  });
  const context: HandlerContext = {
    journal,
    engine,
    containers,
    sandboxes,
    capacity: new Capacity(config),
    checkpointing: new Checkpointing(report.offersCheckpoints && config.checkpoints !== 'off' ? probe : undefined, log),
    conversations: new Conversations(delivery.publisher),
    history: new History(),
    usage: new UsageSampler({ sandboxes, engine }),
    reportSoon,
    reportHistory,
    transfers: createTransfers(config.controlPlaneUrl, () => joined.secret),
    portTransfers: createTransfers(config.controlPlaneUrl, () => joined.secret, portTransfers),
    portConnections: new PortConnections(),
    portSockets: createPortSockets(config.controlPlaneUrl, () => joined.secret),
    snapshots: new Snapshots({
      engine,
      directory: join(dataDir, 'snapshots'),
      cacheLimitMiB: config.snapshotCacheMiB,
      diskLimitMiB: config.diskLimitMiB,
      log,
    }),
    redisNowMs: () => delivery.clock.nowMs(),
    log,
  };
  return context;
}

/** One that isn't proven is tried as soon as an image is known to do that with. */
function openRuntime(parts: RunnerParts, report: EngineReport, context: HandlerContext): RuntimeProof {
  const { openSession, log } = parts;
  const { dataDir } = parts.config;
  const { engine, containers, checkpointing } = context;
  const probe = (image: string) =>
    containers.withSlot((slot) => parts.probeRuntime({ engine, openSession, dataDir, image, slot }));
  return new RuntimeProof({
    runtime: report.runtime,
    probe: report.provenRuntime ? undefined : probe,
    engine,
    onProven: (findings) => {
      checkpointing.learn(findings);
      context.reportSoon();
    },
    log,
  });
}

function openPool(parts: RunnerParts, engine: ContainerEngine): WarmPool {
  const { config, openSession, warmSize, log } = parts;
  return new WarmPool({
    engine,
    openSession,
    socketDirOf: (slot) => socketDirOf(config.dataDir, slot),
    size: warmSize,
    limit: config.warmLimit,
    hasRoom: () => memoryAvailableMiB() > config.memoryFloorMiB,
    log,
  });
}

function openInbound(context: HandlerContext, delivery: Delivery, stream: string): Inbound {
  const controls = new Controls(context);
  return new Inbound({
    commands: delivery.commands,
    blocking: delivery.blocking,
    stream,
    sink: (header, bytes) => {
      if (header.t === 'control') controls.take(header, bytes);
      else context.conversations.take(header);
    },
    log: context.log,
  });
}

interface Obedient {
  context: HandlerContext;
  lanes: Lanes;
  pool: WarmPool;
  runtime: RuntimeProof;
}

function obey({ context, lanes, pool, runtime }: Obedient, answer: HeartbeatAnswer): void {
  for (const { sandboxId, epoch } of answer.recorded) context.sandboxes.acknowledge(sandboxId, epoch);
  for (const directive of answer.kill) void killByDirective(context, lanes, directive);
  runtime.tryWith(answer.pool.map(({ image }) => image));
  if (!runtime.proven) return;
  pool.setTargets(answer.pool);
  const [wanted] = answer.pool;
  if (wanted) context.checkpointing.probeWith(wanted.image);
}

/** All sandboxes end, since the node leaves; then whatever else of ours is on the engine goes. */
async function removeAll(context: HandlerContext, log: Logger): Promise<void> {
  const { sandboxes, engine } = context;
  await Promise.allSettled(sandboxes.all().map((sandbox) => sandboxes.end(sandbox, 'evicted')));
  context.conversations.detachAll();
  const left = await engine.list();
  const removed = await Promise.allSettled(left.map((container) => engine.remove(container.id)));
  const failed = removed.filter(({ status }) => status === 'rejected').length;
  if (failed > 0) log.error('containers_left_behind', { count: failed });
}

async function patiently(work: Promise<unknown>, limitMs: number, what: string, log: Logger): Promise<void> {
  await within(work, limitMs, () => new Error(`not done within ${limitMs} ms`)).catch((error: unknown) =>
    log.warn('stop_cut_short', { what, error: error instanceof Error ? error : new Error(String(error)) }),
  );
}

/** Names this boot of the machine: until the next one CLOCK_MONOTONIC counts on. */
function kernelBoot(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}
