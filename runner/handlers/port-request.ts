import type { ClientRequest } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type { Conversation } from '../channels/conversations.ts';
import { gather } from '../ports/gather.ts';
import { headOf, openRequest, responseOf, type Framing } from '../ports/http.ts';
import { RunnerError } from '../protocol/errors.ts';
import type { JobData } from '../protocol/jobs.ts';
import { limits } from '../protocol/limits.ts';
import type { PortHead } from '../protocol/ports.ts';
import type { Transfers } from '../transfers.ts';
import type { ExecHandler } from './handler.ts';

/** An answer that is there within this goes back with its head; no other waits longer for its way. */
const GATHER_MS = 20;

/** HTTP to a server inside. Whatever cuts one side cuts the other. */
export const requestPort: ExecHandler<'port.request'> = async (context, job, sandbox, conversation) => {
  const leave = context.portConnections.enter(sandbox, 'request');
  const over = new AbortController();
  const signal = AbortSignal.any([over.signal, conversation.signal]);
  try {
    const connection = await sandbox.home.session.connect(job.request.port, limits.portIdleMs);
    const cut = (): void => void connection.destroy();
    signal.addEventListener('abort', cut, { once: true });
    if (signal.aborted) cut();
    const request = openRequest(connection, job.request, framingOf(job));
    const response = responseOf(request);
    void sendContent(request, job, context.portTransfers, signal);
    const { bodyless, ...head } = headOf(await response, job.request.method);
    const answer = { ...head, transferId: job.answerTransferId };
    if (bodyless) sayHead(conversation, { ...head, body: 'none' });
    else await sendAnswer(conversation, answer, await response, context.portTransfers, signal);
    conversation.send({ t: 'end' });
  } catch (error) {
    if (conversation.signal.aborted) return; // the caller is gone: nobody to tell
    throw error;
  } finally {
    over.abort(new Error('the request is over'));
    leave();
  }
};

function framingOf({ contentBase64, contentTransferId, contentBytes }: JobData<'port.request'>): Framing {
  if (contentTransferId !== null) return contentBytes ?? 'chunked';
  return contentBase64 === null ? 'none' : Buffer.byteLength(contentBase64, 'base64');
}

/** Its failure fails the request: a server never takes a part for the whole. */
async function sendContent(
  request: ClientRequest,
  job: JobData<'port.request'>,
  transfers: Transfers,
  signal: AbortSignal,
): Promise<void> {
  const { contentTransferId, contentBase64 } = job;
  if (contentTransferId === null) {
    request.end(contentBase64 === null ? undefined : Buffer.from(contentBase64, 'base64'));
    return;
  }
  try {
    await transfers.get(contentTransferId, signal, (body) => pipeline(body, request));
  } catch (error) {
    request.destroy(error instanceof Error ? error : undefined);
  }
}

async function sendAnswer(
  conversation: Conversation,
  head: Omit<PortHead, 'body'> & { transferId: string },
  body: AsyncIterable<Uint8Array>,
  transfers: Transfers,
  signal: AbortSignal,
): Promise<void> {
  const { transferId, ...rest } = head;
  const small = (head.contentBytes ?? 0) <= limits.inlineBytes && !isEventStream(head);
  const start = await gather(failingAsItself(body), small ? limits.inlineBytes : -1, GATHER_MS);
  if (start.whole && start.bytes <= limits.inlineBytes) {
    sayHead(conversation, { ...rest, body: 'inline', contentBytes: start.bytes });
    let offset = 0;
    for (const chunk of start.chunks) {
      for (let at = 0; at < chunk.byteLength; at += limits.dataEventBytes) {
        const piece = chunk.subarray(at, at + limits.dataEventBytes);
        conversation.send({ t: 'data', fd: 0, o: offset }, piece);
        offset += piece.byteLength;
      }
    }
    return;
  }
  sayHead(conversation, { ...rest, body: 'transfer' });
  await transfers.put(transferId, start.rest(), head.contentBytes, signal);
}

const isEventStream = ({ headers }: Pick<PortHead, 'headers'>): boolean =>
  headers.some(([name, value]) => name === 'content-type' && /^text\/event-stream\b/i.test(value));

function sayHead(conversation: Conversation, head: PortHead): void {
  conversation.send({ t: 'result', value: head });
  conversation.flush();
}

async function* failingAsItself(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    throw error instanceof RunnerError
      ? error
      : new RunnerError('port_failed', 'The server in the sandbox broke off its answer.', { cause: error });
  }
}
