import { within } from '../clock.ts';
import { RunnerError } from '../protocol/errors.ts';
import { fileOperations, type FileInput, type FileOperation } from '../protocol/files.ts';
import type { ExecHandler } from './handler.ts';

/** Copying and removing large trees takes its time. */
const FILE_CALL_MS = 120_000;

export const callFile: ExecHandler<'file.call'> = async (_context, job, sandbox, conversation) => {
  const { operation } = job.call;
  const input = parseInput(operation, job.call.input);
  const value = await within(sandbox.home.session.file(operation, input), FILE_CALL_MS, tooSlow);
  conversation.send({ t: 'result', value });
  conversation.finish();
};

function parseInput<O extends FileOperation>(operation: O, input: unknown): FileInput<O> {
  const parsed = fileOperations[operation].input.safeParse(input);
  if (!parsed.success) throw new RunnerError('invalid_argument', `The input of ${operation} is not valid.`);
  return parsed.data as FileInput<O>; // what the table's own schema for this operation has let through
}

const tooSlow = () => new RunnerError('deadline_exceeded', 'The file operation took too long; it may still finish.');
