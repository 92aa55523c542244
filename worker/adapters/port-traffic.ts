import type { PortHead, PortRequest } from '../../runner/protocol/ports.ts';
import { ServiceError } from '../core/errors.ts';
import type { PortAnswer, PortContent, PortSocket, SandboxRef } from '../core/ports.ts';
import type { Outcome } from '../durable/broker/outcome.ts';
import type { PortCallAnswer, PortSocketAnswer } from '../durable/broker/port-call.ts';
import type { Env } from '../env.ts';
import { askOnce, askTwice, type Brokers } from './broker-stub.ts';
import { joinSocket, newSocketId } from './socket-joins.ts';
import { newTransferId, receiveTransfer, sendTransfer, transferStub } from './transfers.ts';

const nothingSent = Promise.resolve();

/** Requests to servers in sandboxes: heads travel by the Broker, bodies that are not small through Transfers. */
export class PortTraffic {
  readonly #env: Env;
  readonly #brokers: Brokers;

  constructor(env: Env, brokers: Brokers) {
    this.#env = env;
    this.#brokers = brokers;
  }

  async request(ref: SandboxRef, request: PortRequest, content: PortContent, signal: AbortSignal): Promise<PortAnswer> {
    const answerTransferId = newTransferId();
    const outgoing = await this.#send(ref, content);
    const { contentBase64, contentTransferId, contentBytes } = outgoing;
    const payload = { request, contentBase64, contentTransferId, contentBytes, answerTransferId };
    const broker = this.#brokers.ofSandbox(ref.sandboxId);
    try {
      const ask = () => askOnce(broker.requestPort(ref, payload) as Promise<Outcome<PortCallAnswer>>);
      const answer = await this.#unlessGone(ref, answerTransferId, signal, ask);
      if (answer.kind === 'inline') return answerOf(answer.head, answer.content, outgoing.sent);
      const body = await receiveTransfer(transferStub(this.#env, answerTransferId), 'client', answer.runnerId);
      if (!body.ok || !body.body) throw cut(new Error(`the transfer answered ${body.status}`));
      return answerOf(answer.head, body.body, outgoing.sent);
    } catch (error) {
      outgoing.abort();
      throw error;
    }
  }

  async socket(
    ref: SandboxRef,
    request: PortRequest,
    protocols: readonly string[],
    signal: AbortSignal,
  ): Promise<PortSocket | PortAnswer> {
    const socketId = newSocketId();
    const broker = this.#brokers.ofSandbox(ref.sandboxId);
    const payload = { request, protocols: [...protocols], socketId };
    const ask = () => askOnce(broker.openPortSocket(ref, payload) as Promise<Outcome<PortSocketAnswer>>);
    const answer = await this.#unlessGone(ref, socketId, signal, ask);
    if (answer.kind === 'refused') return answerOf(answer.head, answer.content, nothingSent);
    const upgraded = await joinSocket(this.#env, socketId, 'client', answer.runnerId);
    if (upgraded.status !== 101) throw cut(new Error(`the socket's place answered ${upgraded.status}`));
    return { kind: 'socket', protocol: answer.protocol, upgraded };
  }

  /** Small content goes along; of the rest it is settled where it goes before the request is on its way. */
  async #send(ref: SandboxRef, content: PortContent) {
    const inline = { contentTransferId: null, contentBytes: null, sent: nothingSent, abort: () => undefined };
    if (content === null) return { ...inline, contentBase64: null };
    if (content instanceof Uint8Array) return { ...inline, contentBase64: Buffer.from(content).toString('base64') };
    const runnerId = await askTwice(
      () => this.#brokers.ofSandbox(ref.sandboxId).locate(ref) as Promise<Outcome<string>>,
    );
    const contentTransferId = newTransferId();
    const abandoned = new AbortController();
    const { stream, contentBytes } = content;
    const outgoing = { body: stream, contentBytes, signal: abandoned.signal };
    const sending = sendTransfer(transferStub(this.#env, contentTransferId), 'client', runnerId, outgoing);
    // How it went is the answer's to tell: a server may answer before it has read all.
    const sent = sending.then(
      () => undefined,
      () => undefined,
    );
    return { contentBase64: null, contentTransferId, contentBytes, sent, abort: () => abandoned.abort() };
  }

  /** A caller that goes away takes the request inside along; for one that has gone before, none is made. */
  async #unlessGone<T>(ref: SandboxRef, callId: string, signal: AbortSignal, ask: () => Promise<T>): Promise<T> {
    if (signal.aborted) throw new ServiceError('stream_lost', 'The caller has gone.');
    const abandon = () => {
      this.#brokers
        .ofSandbox(ref.sandboxId)
        .abandonPortCall(callId)
        .catch(() => undefined);
    };
    signal.addEventListener('abort', abandon, { once: true });
    try {
      return await ask();
    } finally {
      signal.removeEventListener('abort', abandon);
    }
  }
}

const answerOf = (head: PortHead, body: Uint8Array | ReadableStream<Uint8Array>, sent: Promise<void>): PortAnswer => ({
  kind: 'answer',
  status: head.status,
  headers: head.headers,
  body: head.body === 'none' ? null : body,
  contentBytes: head.contentBytes,
  sent,
});

const cut = (cause: unknown): ServiceError =>
  new ServiceError('transfer_failed', 'The connection to the sandbox was cut. Try again.', { cause });
