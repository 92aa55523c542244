import { inputInDoubt } from '../agent/connection.ts';
import type { Conversation } from '../channels/conversations.ts';
import type { InHeader } from '../protocol/channel.ts';
import { RunnerError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import type { LiveSandbox } from '../sandboxes/sandbox.ts';
import { within } from '../clock.ts';
import { AGENT_ANSWER_MS } from '../sandboxes/running-process.ts';
import { findRunning, runningIn } from './find-process.ts';
import { endedOr, faultOf, type HandlerContext } from './handler.ts';
import { agentSilent } from './process-start.ts';

type Control = Extract<InHeader, { t: 'control' }>;

/** Ids of controls that were seen, to recognise an XADD that was sent twice. The oldest go first. */
const REMEMBERED = 16_384;

/** Controls come in stream order and reach the agent in that order: each is handed over before the next is looked at. */
export class Controls {
  readonly #context: HandlerContext;
  readonly #seen = new Set<string>();

  constructor(context: HandlerContext) {
    this.#context = context;
  }

  take(control: Control, bytes: Uint8Array | undefined): void {
    if (this.#repeated(control.c)) return;
    const conversation = this.#context.conversations.open({ stream: control.out, channel: control.c });
    void this.#answer(conversation, control, bytes);
  }

  async #answer(conversation: Conversation, control: Control, bytes: Uint8Array | undefined): Promise<void> {
    try {
      await this.#run(control, bytes);
      conversation.send({ t: 'result', value: {} });
      conversation.finish();
    } catch (error) {
      const fields = { requestId: control.requestId, job: `control.${control.command.op}` };
      conversation.fail(faultOf(error, this.#context.log, fields));
    }
  }

  async #run(control: Control, bytes: Uint8Array | undefined): Promise<void> {
    const { target } = control;
    if (this.#context.redisNowMs() > control.startByMs) {
      throw new RunnerError('not_started', 'The node got to this too late; it was not done.');
    }
    const sandbox = this.#context.sandboxes.getLive(target.sandboxId, target.epoch);
    this.#context.sandboxes.touch(sandbox);
    const isInput = control.command.op === 'stdin';
    const answerMs = isInput ? limits.stdinAnswerMs : AGENT_ANSWER_MS;
    try {
      await within(apply(sandbox, control, bytes), answerMs, isInput ? inputInDoubt : agentSilent);
    } catch (error) {
      throw endedOr(sandbox, error);
    }
  }

  #repeated(channel: string): boolean {
    if (this.#seen.has(channel)) return true;
    this.#seen.add(channel);
    if (this.#seen.size > REMEMBERED) {
      const [oldest] = this.#seen;
      if (oldest !== undefined) this.#seen.delete(oldest);
    }
    return false;
  }
}

/** Handed over before this returns, unless the runner does not know the process and its agent has to be asked. */
function apply(sandbox: LiveSandbox, control: Control, bytes: Uint8Array | undefined): Promise<void> {
  const { process } = control.target;
  const processId = 'processId' in process ? process.processId : runningIn(sandbox, process)?.processId;
  if (processId !== undefined) return tell(sandbox, processId, control.command, bytes);
  return findRunning(sandbox, process).then((found) => tell(sandbox, found.processId, control.command, bytes));
}

function tell(
  { home: { session } }: LiveSandbox,
  processId: string,
  command: Control['command'],
  bytes: Uint8Array | undefined,
): Promise<void> {
  switch (command.op) {
    case 'stdin':
      return session.writeStdin(processId, bytes ?? new Uint8Array());
    case 'close_stdin':
      return session.closeStdin(processId);
    case 'resize':
      return session.resize(processId, command.size);
    case 'signal':
      return session.signal(processId, command.signal);
    default:
      return command satisfies never;
  }
}
