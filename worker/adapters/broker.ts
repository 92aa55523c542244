import { limits } from '../../runner/protocol/limits.ts';
import type { SandboxOutcome } from '../../runner/protocol/jobs.ts';
import type { Attachment, ProcessSpec } from '../../runner/protocol/process.ts';
import type { Broker, ExecResult, SandboxRef } from '../core/ports.ts';
import type { ExecAnswer } from '../durable/broker/process-sinks.ts';
import type { Outcome } from '../durable/broker/outcome.ts';
import type { Env, Settings } from '../env.ts';
import { ask, askTwice, BrokerGone, Brokers } from './broker-stub.ts';
import { collectExec, eventStreamOf, ProcessEvents } from './process-events.ts';

const execAttachment: Attachment = { fromOffset: 0, creditBytes: limits.channelCreditBytes, foreground: true, output: true };

type Streamed = Promise<Outcome<ReadableStream<Uint8Array>>>;

/** core's way to runners, over the Broker Durable Objects. Holds nothing of a request: one serves the isolate. */
export const createBroker = (env: Env, settings: Settings): Broker => {
  const brokers = new Brokers(env, settings);
  const attachTo = (ref: SandboxRef, processId: string, attachment: Attachment) =>
    ask(brokers.ofSandbox(ref.sandboxId).attach(ref, processId, attachment) as Streamed);
  const following = (ref: SandboxRef, processId: string, attachment: Attachment, open: () => Promise<ReadableStream<Uint8Array>>, more: { starts: boolean; endsWhenStarted: boolean }) =>
    new ProcessEvents({ open, attach: (again) => attachTo(ref, processId, again), attachment, ...more });

  const exec = async (ref: SandboxRef, spec: ProcessSpec): Promise<ExecResult> => {
    let first: ReadableStream<Uint8Array> | BrokerGone;
    try {
      const answer = await ask(brokers.ofSandbox(ref.sandboxId).exec(ref, spec) as Promise<Outcome<ExecAnswer>>);
      if (answer.kind === 'result') return { processId: spec.processId, stdout: answer.stdout, stderr: answer.stderr, exit: answer.exit };
      first = answer.stream;
    } catch (error) {
      if (!(error instanceof BrokerGone)) throw error;
      first = error;
    }
    const open = async () => {
      if (first instanceof BrokerGone) throw first;
      return first;
    };
    const events = following(ref, spec.processId, execAttachment, open, { starts: true, endsWhenStarted: false });
    await events.open();
    return collectExec(spec.processId, events);
  };

  return {
    exec,
    lifecycle: (name, runnerId, data, timeoutMs) =>
      // Twice: a runner repeats the outcome of an (epoch, revision) that it knows.
      askTwice(() => brokers.ofSandbox(data.sandboxId).lifecycle(name, runnerId, data, timeoutMs) as Promise<Outcome<SandboxOutcome>>),
    setRoute: (sandboxId, route) => brokers.ofSandbox(sandboxId).setRoute(sandboxId, route),
    start: async (ref, spec, attach) => {
      const open = () => ask(brokers.ofSandbox(ref.sandboxId).start(ref, spec, attach) as Streamed);
      const attachment = attach ?? { fromOffset: 0, creditBytes: 0, foreground: false, output: false };
      const events = following(ref, spec.processId, attachment, open, { starts: true, endsWhenStarted: attach === null });
      await events.open();
      return eventStreamOf(events);
    },
    attach: async (ref, processId, attachment) => {
      const open = () => attachTo(ref, processId, attachment);
      const events = following(ref, processId, attachment, open, { starts: false, endsWhenStarted: false });
      await events.open();
      return eventStreamOf(events);
    },
    healthy: () => brokers.at(0).healthy(),
  } as unknown as Broker;
};
