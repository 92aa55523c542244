import { RunnerError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import type { ExecHandler } from './handler.ts';

/** Inline content is small: the agent has it on disk within this or is not there. */
const INLINE_MS = 30_000;

export const writeFile: ExecHandler<'file.write'> = async ({ transfers }, job, sandbox, conversation) => {
  const { session } = sandbox.home;
  const value = job.transferId
    ? await transfers.get(job.transferId, conversation.signal, (body, signal) => session.write(job.write, body, signal))
    : await session.write(
        job.write,
        once(inlineContent(job.contentBase64)),
        AbortSignal.any([conversation.signal, AbortSignal.timeout(INLINE_MS)]),
      );
  conversation.send({ t: 'result', value });
  conversation.finish();
};

function inlineContent(contentBase64: string | null): Buffer {
  const content = Buffer.from(contentBase64 ?? '', 'base64');
  if (content.byteLength <= limits.inlineBytes) return content;
  throw new RunnerError('file_too_large', 'Content of this size needs a transfer.');
}

async function* once(content: Uint8Array): AsyncIterable<Uint8Array> {
  if (content.byteLength > 0) yield content;
}
