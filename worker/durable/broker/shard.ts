import type { InHeader } from '../../../runner/protocol/channel.ts';
import { execQueueName, lifecycleQueueName } from '../../../runner/protocol/ids.ts';
import type { ExecJobName, JobData, JobName, LifecycleJobName } from '../../../runner/protocol/jobs.ts';
import { limits } from '../../../runner/protocol/limits.ts';
import { ServiceError } from '../../core/errors.ts';
import { Channel, channelOf, parseHeader, type Receiver } from './channel.ts';
import { CreditBudget } from './credit-budget.ts';
import { callsInFlight, InFlight, portsInFlight } from './in-flight.ts';
import { LeaseWatch } from './lease-watch.ts';
import { DeliveryError, type Channels, type ChannelsListener, type JobQueue } from './ports.ts';
import { randomHex } from './random.ts';

const TICK_MS = 500;
/** How much later than startBy an `accepted` can still arrive. */
const ACCEPT_MARGIN_MS = 1_500;
/** Without channels for this long the connections are closed, so that the shard can sleep. */
const IDLE_CLOSE_MS = 60_000;

export type ExecPayload<N extends ExecJobName> = Omit<JobData<N>, 'reply' | 'startByMs'>;
export type LifecyclePayload<N extends LifecycleJobName> = Omit<JobData<N>, 'reply'>;
export type Transport = Channels & JobQueue;

export const notStarted = (cause?: unknown): ServiceError =>
  new ServiceError('not_started', 'The sandbox’s node could not be reached in time. Nothing was started; try again.', {
    cause,
    retryAfterSeconds: 1,
  });
export const runnerLost = (cause?: unknown): ServiceError =>
  new ServiceError(
    'runner_lost',
    'The connection to the sandbox’s node was lost after it had begun. It may have run.',
    { cause },
  );
/** Of a lifecycle job that nobody has taken yet: it waits in its runner's queue and is done whenever that is back. */
const stillQueued = (): ServiceError =>
  new ServiceError('runner_lost', 'The sandbox’s node is away. What was asked of it may yet be done.');

const tooLate = (): ServiceError =>
  new ServiceError('deadline_exceeded', 'The sandbox’s node did not finish this in time. It may still be done.');

/** The open channels of one Broker: delivers jobs, hands events to their receivers, notices what doesn't come any more. */
export class Shard implements ChannelsListener {
  readonly inFlight = new InFlight(callsInFlight);
  readonly portsInFlight = new InFlight(portsInFlight);
  readonly credit = new CreditBudget();
  readonly transport: Transport;
  readonly #channels = new Map<string, Channel>();
  readonly #leases = new LeaseWatch();
  #timer: ReturnType<typeof setInterval> | undefined;
  #usedAtMs = 0;

  constructor(connect: (listener: ChannelsListener, busy: () => boolean) => Transport) {
    this.transport = connect(this, () => this.#channels.size > 0);
  }

  /** Hands an exec job over; events go to the receiver. Rejects with not_started if it was surely not delivered. */
  async deliver<N extends ExecJobName>(
    name: N,
    runnerId: string,
    payload: ExecPayload<N>,
    receiver: Receiver,
  ): Promise<Channel> {
    const { replyStream, boot } = await this.#reach(runnerId);
    if (boot === null) throw notStarted();
    const channel = this.#open(runnerId, boot, limits.startWithinMs + ACCEPT_MARGIN_MS, receiver);
    const data = {
      ...payload,
      reply: { stream: replyStream, channel: channel.id },
      startByMs: this.transport.nowMs() + limits.startWithinMs,
    };
    await this.#add(channel, execQueueName(runnerId), `${channel.id}-1`, name, data);
    return channel;
  }

  /**
   * For a runner that is away only a kill is left in the queue; the caller is told not_started all the same. Nobody takes a lifecycle job out
   * of the queue again, nor has it a time to start by: a redelivery after a crash, of what was begun, has to be taken however late. So
   * whatever is there is `runner_lost`, not not_started, until its runner has answered.
   */
  async deliverLifecycle<N extends LifecycleJobName>(
    name: N,
    runnerId: string,
    payload: LifecyclePayload<N>,
    timeoutMs: number,
    receiver: Receiver,
  ): Promise<Channel> {
    const { replyStream, boot } = await this.#reach(runnerId);
    if (boot === null && name !== 'sandbox.kill') throw notStarted();
    const channel = this.#open(runnerId, null, timeoutMs, receiver);
    const data = { ...payload, reply: { stream: replyStream, channel: channel.id } };
    const jobId = `${payload.sandboxId}-${payload.epoch}-${payload.revision}-${channel.id.slice(0, 8)}`;
    await this.#add(channel, lifecycleQueueName(runnerId), jobId, name, data);
    if (boot !== null) return channel;
    this.close(channel);
    throw notStarted();
  }

  async #reach(runnerId: string): Promise<{ replyStream: string; boot: string | null }> {
    this.#usedAtMs = Date.now();
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS);
    try {
      const { replyStream } = await this.transport.ready();
      return { replyStream, boot: await this.transport.lease(runnerId) };
    } catch (error) {
      throw notStarted(error);
    }
  }

  #open(runnerId: string, boot: string | null, acceptWithinMs: number, receiver: Receiver): Channel {
    const channel = new Channel(randomHex(16), runnerId, boot, Date.now() + acceptWithinMs, receiver);
    this.#channels.set(channel.id, channel);
    return channel;
  }

  async #add(channel: Channel, queue: string, jobId: string, name: JobName, data: unknown): Promise<void> {
    try {
      await this.transport.add(queue, jobId, name, data);
    } catch (error) {
      // With an unknown fate the job may yet be accepted: the channel stays open until that can't be any more.
      if (error instanceof DeliveryError && error.kind === 'unknown') return;
      this.close(channel);
      throw notStarted(error);
    }
  }

  /** To the life of the runner that serves the channel; false if that is over or can't be reached. */
  async tell(channel: Channel, header: InHeader, bytes?: Uint8Array): Promise<boolean> {
    const boot = channel.boot ?? (await this.transport.lease(channel.runnerId));
    return boot !== null && this.transport.send(channel.runnerId, boot, header, bytes);
  }

  /** A channel for a `control` entry, whose answer comes as on any other; the caller writes the entry. */
  async openControl(
    runnerId: string,
    receiver: Receiver,
  ): Promise<{ channel: Channel; boot: string; replyStream: string; startByMs: number }> {
    const { replyStream, boot } = await this.#reach(runnerId);
    if (boot === null) throw notStarted();
    const channel = this.#open(runnerId, boot, limits.startWithinMs + ACCEPT_MARGIN_MS, receiver);
    return { channel, boot, replyStream, startByMs: this.transport.nowMs() + limits.startWithinMs };
  }

  close(channel: Channel): void {
    this.#channels.delete(channel.id);
    this.#usedAtMs = Date.now();
  }

  /** Closes, and lets the runner know that nobody listens. */
  detach(channel: Channel): void {
    if (!this.#channels.has(channel.id)) return;
    this.close(channel);
    // If this is lost the runner notices by itself: no credit comes any more.
    this.tell(channel, { c: channel.id, t: 'detach' }).catch(() => undefined);
  }

  entry(header: unknown, bytes: Uint8Array | undefined): void {
    const channel = this.#channels.get(channelOf(header) ?? '');
    if (!channel) return;
    const parsed = parseHeader(header);
    const applied = parsed ? channel.apply(parsed, bytes) : 'gap';
    if (applied === 'open') return;
    if (applied === 'over') return this.close(channel);
    this.detach(channel);
    channel.receiver.lost();
  }

  lost(): void {
    this.#leases.excuse(Date.now());
    const channels = [...this.#channels.values()];
    this.#channels.clear();
    for (const channel of channels) channel.receiver.lost();
  }

  #tick(): void {
    const nowMs = Date.now();
    for (const channel of this.#channels.values()) {
      if (nowMs >= channel.answerByMs) {
        this.#fail(channel, tooLate());
        continue;
      }
      if (channel.accepted || nowMs < channel.acceptByMs) continue;
      if (channel.boot === null) this.#fail(channel, stillQueued());
      // While disconnected, an `accepted` may be waiting where it can't be read.
      else this.#fail(channel, this.transport.connected ? notStarted() : runnerLost());
    }
    if (this.#channels.size === 0) return this.#rest(nowMs);
    if (!this.#leases.due(nowMs)) return;
    this.#checkLeases().catch(() => undefined);
  }

  async #checkLeases(): Promise<void> {
    const runnerIds = [...new Set([...this.#channels.values()].map((channel) => channel.runnerId))];
    const boots = await this.transport.leases(runnerIds);
    const gone = this.#leases.judge(boots, Date.now());
    for (const channel of this.#channels.values()) {
      // An exec's job may wait in the queue, from where the runner's next life takes it if it is in time: #tick says when that is over.
      if (!channel.accepted && channel.boot !== null) continue;
      const boot = boots.get(channel.runnerId);
      if (gone.has(channel.runnerId)) this.#fail(channel, channel.accepted ? runnerLost() : stillQueued());
      else if (channel.boot !== null && boot && boot !== channel.boot) this.#outlive(channel, boot);
    }
  }

  /** Another life of the runner is there. Where that has accepted itself it lets go: what was told to its predecessor has not reached it. */
  #outlive(channel: Channel, boot: string): void {
    channel.boot = boot;
    this.detach(channel);
    channel.receiver.lost();
  }

  #fail(channel: Channel, error: ServiceError): void {
    this.close(channel);
    channel.receiver.fail(error);
  }

  #rest(nowMs: number): void {
    if (nowMs - this.#usedAtMs < IDLE_CLOSE_MS) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.transport.close().catch(() => undefined);
  }
}
