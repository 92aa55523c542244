import { DurableObject } from 'cloudflare:workers';
import { openCell } from '../../../db/client.ts';
import { limits } from '../../../runner/protocol/limits.ts';
import type { RunnerFault } from '../../../runner/protocol/errors.ts';
import type { FileRead, FileWatch } from '../../../runner/protocol/files.ts';
import type { ControlCommand } from '../../../runner/protocol/channel.ts';
import type { JobData, LifecycleJobName, NodeJobName, SandboxOutcome } from '../../../runner/protocol/jobs.ts';
import type { Attachment, ProcessSelector, ProcessSpec } from '../../../runner/protocol/process.ts';
import { ServiceError } from '../../core/errors.ts';
import type { Route, SandboxRef } from '../../core/ports.ts';
import { TokenBuckets } from '../../core/token-buckets.ts';
import { settingsOf, type Env } from '../../env.ts';
import { callRunner, controlProcess, type CallName, type Envelope } from './calls.ts';
import { readFile, type ReadAnswer } from './file-read.ts';
import { FileWatcher } from './file-watch.ts';
import type { InFlight } from './in-flight.ts';
import { runLifecycle } from './lifecycle.ts';
import { settle, type Outcome } from './outcome.ts';
import { PortCalls, type PortCallAnswer, type PortSocketAnswer } from './port-call.ts';
import { ProcessReader } from './process-reader.ts';
import { ExecSink, StreamSink, type ExecAnswer } from './process-sinks.ts';
import { RedisChannels } from './redis-channels.ts';
import { RunnerUsers } from './runner-users.ts';
import { Routes, type LiveRoute } from './routes.ts';
import { Shard, type ExecPayload, type LifecyclePayload } from './shard.ts';

/** An exec's reader: takes all, as fast as it comes. */
const execAttachment: Attachment = {
  fromOffset: 0,
  creditBytes: limits.channelCreditBytes,
  foreground: true,
  output: true,
};

/** Rates that a shard keeps: of keys, and of what else is taken in turns. */
const rateBuckets = 50_000;

/** One of the cell's shards: the way to the runners of the sandboxes whose id falls to it. Answers with values, never throws. */
export class Broker extends DurableObject<Env> {
  readonly #routes: Routes;
  readonly #redis: RedisChannels;
  readonly #shard: Shard;
  readonly #users: RunnerUsers;
  readonly #buckets = new TokenBuckets(rateBuckets);
  readonly #portCalls = new PortCalls();
  readonly #watchers = new Map<string, Set<FileWatcher>>();

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const { REDIS_URL } = settingsOf(env);
    this.#routes = new Routes(openCell(env.CELL_DB));
    let redis: RedisChannels | undefined;
    this.#shard = new Shard((listener, busy) => {
      redis = new RedisChannels(REDIS_URL, ctx.id.toString().slice(0, 16), listener, busy);
      return redis;
    });
    if (!redis) throw new Error('the shard has no transport');
    this.#redis = redis;
    this.#users = new RunnerUsers(redis);
  }

  lifecycle<N extends LifecycleJobName>(
    name: N,
    runnerId: string,
    data: Omit<JobData<N>, 'reply'>,
    timeoutMs: number,
  ): Promise<Outcome<SandboxOutcome>> {
    return settle(() => runLifecycle(this.#shard, name, runnerId, data as LifecyclePayload<N>, timeoutMs));
  }

  async setRoute(sandboxId: string, route: Route): Promise<void> {
    this.#routes.set(sandboxId, route);
    if (route.state !== 'ended') return;
    for (const watcher of this.#watchers.get(sandboxId) ?? [])
      watcher.fail(new ServiceError('sandbox_ended', 'The sandbox has ended.'));
  }

  exec(ref: SandboxRef, spec: ProcessSpec): Promise<Outcome<ExecAnswer>> {
    return settle(() =>
      this.#routed(ref, async (route) => {
        const sink = new ExecSink();
        const reader = new ProcessReader(this.#shard, ref, route, { processId: spec.processId }, execAttachment, sink);
        sink.source = reader;
        await reader.start(spec, execAttachment);
        return sink.answer;
      }),
    );
  }

  start(ref: SandboxRef, spec: ProcessSpec, attach: Attachment | null): Promise<Outcome<ReadableStream<Uint8Array>>> {
    return settle(() =>
      this.#routed(ref, async (route) => {
        const sink = new StreamSink(attach === null);
        const reader = new ProcessReader(
          this.#shard,
          ref,
          route,
          { processId: spec.processId },
          attach ?? { ...execAttachment, output: false },
          sink,
        );
        sink.source = reader;
        await reader.start(spec, attach);
        return sink.stream;
      }),
    );
  }

  attach(ref: SandboxRef, process: ProcessSelector, attach: Attachment): Promise<Outcome<ReadableStream<Uint8Array>>> {
    return settle(() =>
      this.#routed(ref, async (route) => {
        const sink = new StreamSink(false);
        const reader = new ProcessReader(this.#shard, ref, route, process, attach, sink);
        sink.source = reader;
        await reader.attach();
        return sink.stream;
      }),
    );
  }

  control(
    ref: SandboxRef,
    process: ProcessSelector,
    command: ControlCommand,
    bytes?: Uint8Array,
  ): Promise<Outcome<void>> {
    return settle(() => this.#routed(ref, (route) => controlProcess(this.#shard, ref, route, process, command, bytes)));
  }

  /** Jobs with one result. Its form is the caller's to check. */
  call<N extends CallName>(
    ref: SandboxRef,
    name: N,
    payload: Omit<ExecPayload<N>, Envelope>,
  ): Promise<Outcome<unknown>> {
    return settle(() => this.#routed(ref, (route) => callRunner(this.#shard, ref, route, name, payload)));
  }

  /** By the runner that the record names: it is asked also when the sandbox is paused there or has ended. */
  callNode<N extends NodeJobName>(
    ref: SandboxRef,
    place: { runnerId: string; epoch: number },
    name: N,
    payload: Omit<ExecPayload<N>, Envelope>,
  ): Promise<Outcome<unknown>> {
    return settle(() => this.#inFlight(ref, place, () => callRunner(this.#shard, ref, place, name, payload)));
  }

  readFile(ref: SandboxRef, read: FileRead, transferId: string | null): Promise<Outcome<ReadAnswer>> {
    return settle(() => this.#routed(ref, (route) => readFile(this.#shard, ref, route, read, transferId)));
  }

  watch(ref: SandboxRef, watch: FileWatch): Promise<Outcome<ReadableStream<Uint8Array>>> {
    return settle(() =>
      this.#routed(ref, async (route) => {
        const watcher = new FileWatcher(this.#shard, (over) => this.#forgetWatcher(ref.sandboxId, over));
        this.#watchers.set(ref.sandboxId, (this.#watchers.get(ref.sandboxId) ?? new Set()).add(watcher));
        await watcher.open(ref, route, watch);
        return watcher.sink.stream;
      }),
    );
  }

  requestPort(ref: SandboxRef, payload: Omit<ExecPayload<'port.request'>, Envelope>): Promise<Outcome<PortCallAnswer>> {
    const work = (route: LiveRoute) => this.#portCalls.request(this.#shard, ref, route, payload);
    return settle(() => this.#routed(ref, work, this.#shard.portsInFlight));
  }

  openPortSocket(
    ref: SandboxRef,
    payload: Omit<ExecPayload<'port.socket'>, Envelope>,
  ): Promise<Outcome<PortSocketAnswer>> {
    const work = (route: LiveRoute) => this.#portCalls.socket(this.#shard, ref, route, payload);
    return settle(() => this.#routed(ref, work, this.#shard.portsInFlight));
  }

  /** Its caller has gone before there was an answer. */
  async abandonPortCall(callId: string): Promise<void> {
    this.#portCalls.abandon(callId);
  }

  #forgetWatcher(sandboxId: string, watcher: FileWatcher): void {
    const watchers = this.#watchers.get(sandboxId);
    watchers?.delete(watcher);
    if (watchers?.size === 0) this.#watchers.delete(sandboxId);
  }

  /** The runner that a transfer for this sandbox will come from. */
  locate(ref: SandboxRef): Promise<Outcome<string>> {
    return settle(async () => (await this.#routes.resolve(ref)).runnerId);
  }

  /** A slice of the key's token bucket, at most `wanted`. */
  async takeRequests(keyId: string, perSecond: number, wanted: number): Promise<number> {
    return this.#buckets.take(keyId, perSecond, wanted, Date.now());
  }

  async healthy(): Promise<boolean> {
    return this.#redis.ping().then(
      () => true,
      () => false,
    );
  }

  /** Makes the runner's Redis user unless this life of the server has it. */
  ensureRunnerUser(runnerId: string, password: string): Promise<Outcome<void>> {
    return settle(() => this.#users.ensure(runnerId, password));
  }

  removeRunnerUser(runnerId: string): Promise<Outcome<void>> {
    return settle(() => this.#users.remove(runnerId));
  }

  /** A runner that doesn't know the sandbox means that our route may be old: read anew and, if it was, tried once more. */
  async #routed<T>(
    ref: SandboxRef,
    work: (route: LiveRoute) => Promise<T>,
    gate: InFlight = this.#shard.inFlight,
  ): Promise<T> {
    const route = await this.#routes.resolve(ref);
    try {
      return await this.#inFlight(ref, route, work, gate);
    } catch (error) {
      if (!(error instanceof ServiceError) || !isUnknownSandbox(error.cause)) throw error;
      this.#routes.forget(ref.sandboxId);
      const fresh = await this.#routes.resolve(ref);
      if (fresh.runnerId === route.runnerId && fresh.epoch === route.epoch) throw error;
      return this.#inFlight(ref, fresh, work, gate);
    }
  }

  async #inFlight<T, R extends { runnerId: string }>(
    ref: SandboxRef,
    route: R,
    work: (route: R) => Promise<T>,
    gate: InFlight = this.#shard.inFlight,
  ): Promise<T> {
    const leave = await gate.enter(ref.sandboxId, ref.tenantId, route.runnerId);
    try {
      return await work(route);
    } finally {
      leave();
    }
  }
}

const isUnknownSandbox = (cause: unknown): boolean =>
  typeof cause === 'object' && cause !== null && (cause as Partial<RunnerFault>).code === 'sandbox_not_found';
