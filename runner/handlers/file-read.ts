import { within } from '../clock.ts';
import { RunnerError } from '../protocol/errors.ts';
import type { ReadHead } from '../protocol/files.ts';
import { limits } from '../protocol/limits.ts';
import type { Conversation } from '../channels/conversations.ts';
import type { ExecHandler } from './handler.ts';

const HEAD_MS = 30_000;
/** Until the control plane has all of the inline bytes' worth from the agent. */
const INLINE_MS = 30_000;

export const readFile: ExecHandler<'file.read'> = async ({ transfers }, job, sandbox, conversation) => {
  const cut = new AbortController();
  const signal = AbortSignal.any([cut.signal, conversation.signal]);
  try {
    const reading = sandbox.home.session.read(job.read, signal);
    const { head, body } = await within(reading, HEAD_MS, tooSlow);
    conversation.send({ t: 'result', value: head satisfies ReadHead });
    conversation.flush();
    if (job.transferId) await transfers.put(job.transferId, body, head.contentBytes, signal);
    else await within(sendInline(conversation, body), INLINE_MS, tooSlow);
    conversation.send({ t: 'end' });
  } catch (error) {
    cut.abort(error);
    if (conversation.signal.aborted) return; // the reader is gone: nobody to tell
    throw error;
  }
};

/** In pieces of dataEventBytes. More than inlineBytes has no business here: the edge gives such reads a transfer. */
async function sendInline(conversation: Conversation, body: AsyncIterable<Uint8Array>): Promise<void> {
  let offset = 0;
  for await (const chunk of body) {
    if (offset + chunk.byteLength > limits.inlineBytes) {
      throw new RunnerError('file_too_large', 'The file is too large to be read without a transfer.');
    }
    for (let start = 0; start < chunk.byteLength; start += limits.dataEventBytes) {
      const piece = chunk.subarray(start, start + limits.dataEventBytes);
      conversation.send({ t: 'data', fd: 0, o: offset }, piece);
      offset += piece.byteLength;
    }
  }
}

const tooSlow = () => new RunnerError('agent_unavailable', 'The sandbox does not answer.');
