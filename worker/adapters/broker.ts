import { z } from 'zod';
import { fileOperations } from '../../runner/protocol/files.ts';
import { jobCatalog, type SandboxOutcome } from '../../runner/protocol/jobs.ts';
import { limits } from '../../runner/protocol/limits.ts';
import type { Attachment, ProcessSelector, ProcessSpec } from '../../runner/protocol/process.ts';
import { ServiceError } from '../core/errors.ts';
import type { Broker, EventStream, ExecResult, SandboxRef } from '../core/ports.ts';
import type { CallName, Envelope } from '../durable/broker/calls.ts';
import type { Outcome } from '../durable/broker/outcome.ts';
import type { ExecAnswer } from '../durable/broker/process-sinks.ts';
import type { ExecPayload } from '../durable/broker/shard.ts';
import type { Env, Settings } from '../env.ts';
import { BrokerGone } from './broker-gone.ts';
import { ask, askOnce, askTwice, Brokers, type BrokerStub } from './broker-stub.ts';
import { FileBytes } from './file-bytes.ts';
import { PortTraffic } from './port-traffic.ts';
import { collectExec, ProcessEvents, type ProcessSource } from './process-events.ts';
import { RequestTokens } from './request-tokens.ts';

const execAttachment: Attachment = {
  fromOffset: 0,
  creditBytes: limits.channelCreditBytes,
  foreground: true,
  output: true,
};
const startAttachment: Attachment = { fromOffset: 0, creditBytes: 0, foreground: false, output: false };

type Bytes = ReadableStream<Uint8Array>;

/**
 * What a stub's methods give, without the generics of the RPC types, which don't carry over type parameters and unions: this is the one
 * place that says what comes back.
 */
const answering = <T>(answer: Promise<unknown>): Promise<Outcome<T>> => answer as Promise<Outcome<T>>;

/** core's way to runners, over the Broker Durable Objects. Holds nothing of a request: one serves the isolate. */
class BrokerAdapter implements Broker {
  readonly #brokers: Brokers;
  readonly #files: FileBytes;
  readonly #tokens: RequestTokens;
  readonly readFile: Broker['readFile'];
  readonly writeFile: Broker['writeFile'];
  readonly takeRequest: Broker['takeRequest'];
  readonly requestPort: Broker['requestPort'];
  readonly openPortSocket: Broker['openPortSocket'];

  constructor(env: Env, settings: Settings) {
    this.#brokers = new Brokers(env, settings);
    this.#files = new FileBytes(env, this.#brokers);
    this.#tokens = new RequestTokens((shard, ...wish) => this.#brokers.at(shard).takeRequests(...wish));
    const ports = new PortTraffic(env, this.#brokers);
    this.requestPort = (...call) => ports.request(...call);
    this.openPortSocket = (...call) => ports.socket(...call);
    this.readFile = (ref, read) => this.#files.read(ref, read);
    this.writeFile = (ref, write, body, contentBytes) => this.#files.write(ref, write, body, contentBytes);
    this.takeRequest = (keyId, requestsPerSecond) => this.#tokens.take(keyId, requestsPerSecond);
  }

  lifecycle: Broker['lifecycle'] = (name, runnerId, data, timeoutMs) =>
    // Twice: a runner repeats the outcome of an (epoch, revision) that it knows.
    askTwice(() =>
      answering<SandboxOutcome>(this.#brokers.ofSandbox(data.sandboxId).lifecycle(name, runnerId, data, timeoutMs)),
    );

  setRoute: Broker['setRoute'] = (sandboxId, route) => {
    const { tenantId, runnerId, epoch, revision, state, deadlineMode } = route;
    return this.#brokers
      .ofSandbox(sandboxId)
      .setRoute(sandboxId, { tenantId, runnerId, epoch, revision, state, deadlineMode });
  };

  async exec(ref: SandboxRef, spec: ProcessSpec): Promise<ExecResult> {
    let first: Bytes | BrokerGone;
    try {
      const answer = await ask(answering<ExecAnswer>(this.#shard(ref).exec(ref, spec)));
      if (answer.kind === 'result') {
        return { processId: spec.processId, stdout: answer.stdout, stderr: answer.stderr, exit: answer.exit };
      }
      first = answer.stream;
    } catch (error) {
      if (!(error instanceof BrokerGone)) throw error;
      first = error;
    }
    const open = async () => {
      if (first instanceof BrokerGone) throw first;
      return first;
    };
    const events = this.#follow(
      ref,
      { processId: spec.processId },
      {
        open,
        attachment: execAttachment,
        starts: true,
        endsWhenStarted: false,
      },
    );
    await events.open();
    return collectExec(spec.processId, events);
  }

  start(ref: SandboxRef, spec: ProcessSpec, attach: Attachment | null): Promise<EventStream> {
    const open = () => ask(answering<Bytes>(this.#shard(ref).start(ref, spec, attach)));
    const source = { open, attachment: attach ?? startAttachment, starts: true, endsWhenStarted: attach === null };
    return opened(this.#follow(ref, { processId: spec.processId }, source));
  }

  attach(ref: SandboxRef, process: ProcessSelector, attachment: Attachment): Promise<EventStream> {
    const open = () => this.#attach(ref, process, attachment);
    return opened(this.#follow(ref, process, { open, attachment, starts: false, endsWhenStarted: false }));
  }

  #attach(ref: SandboxRef, process: ProcessSelector, attachment: Attachment): Promise<Bytes> {
    return ask(answering<Bytes>(this.#shard(ref).attach(ref, process, attachment)));
  }

  #follow(ref: SandboxRef, process: ProcessSelector, source: Omit<ProcessSource, 'attach' | 'process'>): ProcessEvents {
    return new ProcessEvents({ ...source, process, attach: (...again) => this.#attach(ref, ...again) });
  }

  async watch(...[ref, watch]: Parameters<Broker['watch']>): Promise<EventStream> {
    const open = () => askTwice(() => answering<Bytes>(this.#shard(ref).watch(ref, watch)));
    return opened(
      new ProcessEvents({
        open,
        process: undefined,
        attach: undefined,
        attachment: startAttachment,
        starts: false,
        endsWhenStarted: false,
      }),
    );
  }

  async control(...[ref, process, command, bytes]: Parameters<Broker['control']>): Promise<void> {
    if ((bytes?.byteLength ?? 0) > limits.inlineBytes) {
      throw new ServiceError('payload_too_large', `Send at most ${limits.inlineBytes} bytes of stdin at a time.`);
    }
    await askOnce(answering<void>(this.#shard(ref).control(ref, process, command, bytes)));
  }

  processes(ref: SandboxRef) {
    return this.#list(ref, false);
  }

  processDetails(ref: SandboxRef) {
    return this.#list(ref, true);
  }

  async #list(ref: SandboxRef, details: boolean) {
    return (await this.#read(ref, 'process.list', { details }, jobCatalog['process.list'].result)).processes;
  }

  async ping(ref: SandboxRef): Promise<void> {
    await this.#read(ref, 'sandbox.ping', {}, jobCatalog['sandbox.ping'].result);
  }

  async environment(ref: SandboxRef) {
    return (await this.#read(ref, 'sandbox.environment', {}, jobCatalog['sandbox.environment'].result)).env;
  }

  metrics(ref: SandboxRef) {
    return this.#read(ref, 'sandbox.metrics', {}, jobCatalog['sandbox.metrics'].result);
  }

  async reportHistory(...[ref, place]: Parameters<Broker['reportHistory']>): Promise<void> {
    await askOnce(answering<unknown>(this.#shard(ref).callNode(ref, place, 'sandbox.history', {})));
  }

  async uploadSnapshot(...[ref, place, job]: Parameters<Broker['uploadSnapshot']>) {
    // Twice: parts that are there already are written again.
    const answer = () => answering<unknown>(this.#shard(ref).callNode(ref, place, 'snapshot.upload', job));
    return checked(jobCatalog['snapshot.upload'].result, await askTwice(answer));
  }

  async dropSnapshot(...[ref, place, snapshotId]: Parameters<Broker['dropSnapshot']>): Promise<void> {
    await askOnce(answering<unknown>(this.#shard(ref).callNode(ref, place, 'snapshot.drop', { snapshotId })));
  }

  async usage(...[ref, place, query]: Parameters<Broker['usage']>) {
    const answer = () => answering<unknown>(this.#shard(ref).callNode(ref, place, 'sandbox.usage', { query }));
    return checked(jobCatalog['sandbox.usage'].result, await askTwice(answer)).samples;
  }

  file: Broker['file'] = async (ref, operation, input) => {
    const answer = answering<unknown>(this.#shard(ref).call(ref, 'file.call', { call: { operation, input } }));
    return checked(fileOperations[operation].output, await askOnce(answer)) as never; // the table's own schema for this operation
  };

  async #read<N extends CallName, T extends z.ZodType>(
    ref: SandboxRef,
    name: N,
    payload: Omit<ExecPayload<N>, Envelope>,
    schema: T,
  ) {
    return checked(
      schema,
      await askTwice(() => answering<unknown>(this.#shard(ref).call(ref, name, payload as never))),
    );
  }

  async ensureRunning(ref: SandboxRef): Promise<void> {
    await askTwice(() => answering<string>(this.#shard(ref).locate(ref)));
  }

  healthy(): Promise<boolean> {
    return this.#brokers.at(0).healthy();
  }

  #shard(ref: SandboxRef): BrokerStub {
    return this.#brokers.ofSandbox(ref.sandboxId);
  }
}

const opened = async (events: ProcessEvents): Promise<EventStream> => {
  await events.open();
  return events;
};

/** What runners answer is believed only in its form. */
const checked = <T extends z.ZodType>(schema: T, value: unknown): z.infer<T> => {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new ServiceError('internal', 'The runner failed to do this. The request id identifies it in the logs.', {
    cause: parsed.error,
  });
};

export const createBroker = (env: Env, settings: Settings): Broker => new BrokerAdapter(env, settings);
