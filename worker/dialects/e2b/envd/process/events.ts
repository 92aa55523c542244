import { encodeBase64 } from '../../../../core/base64.ts';
import { errorFromRunner, ServiceError } from '../../../../core/errors.ts';
import type { Feed } from '../../../../core/feed.ts';
import type { EventStream, StreamEvent } from '../../../../core/ports.ts';
import { deadlineExceeded } from '../connect/call.ts';
import { ConnectError } from '../connect/failure.ts';

type Exit = Extract<StreamEvent, { t: 'exit' }>['exit'];

/** Whose events: of the call that started the process, with which its deadline ends, or of one that came to it later. */
export type Audience = 'starter' | 'subscriber';

export const keepalive = { event: { keepalive: {} } };

const dataKind = ['pty', 'stdout', 'stderr'] as const;

const viewExit = (exit: Exit): object => {
  if (exit.exitCode === null) {
    const status = `signal: ${signalText(exit.signal ?? '')}`;
    return { exitCode: -1, exited: false, status, error: status };
  }
  const status = `exit status ${exit.exitCode}`;
  return { exitCode: exit.exitCode, exited: true, status, ...(exit.exitCode === 0 ? {} : { error: status }) };
};

/** As Go's syscall.Signal says them on Linux; `killed` is what the SDKs' users look for. */
const signalTexts: Readonly<Record<string, string>> = {
  SIGHUP: 'hangup',
  SIGINT: 'interrupt',
  SIGQUIT: 'quit',
  SIGILL: 'illegal instruction',
  SIGTRAP: 'trace/breakpoint trap',
  SIGABRT: 'aborted',
  SIGBUS: 'bus error',
  SIGFPE: 'floating point exception',
  SIGKILL: 'killed',
  SIGUSR1: 'user defined signal 1',
  SIGSEGV: 'segmentation fault',
  SIGUSR2: 'user defined signal 2',
  SIGPIPE: 'broken pipe',
  SIGALRM: 'alarm clock',
  SIGTERM: 'terminated',
};
const signalText = (name: string): string => signalTexts[name] ?? name.toLowerCase();

/** Throws what ends the stream otherwise: the sandbox's end cuts it, a deadline and a loss are errors. */
const viewEnd = (exit: Exit, audience: Audience): object => {
  if (exit.reason === 'sandbox_ended' || exit.sandboxEndReason !== undefined) {
    throw new ServiceError('sandbox_ended', 'The sandbox has ended.');
  }
  if (exit.reason === 'deadline' && audience === 'starter') throw deadlineExceeded();
  return { end: viewExit(exit) };
};

const viewEvent = (event: StreamEvent, audience: Audience): object | undefined => {
  switch (event.t) {
    case 'started':
      return { start: { pid: event.pid } };
    case 'data':
      return { data: { [dataKind[event.fd]]: encodeBase64(event.bytes ?? new Uint8Array()) } };
    case 'exit':
      return viewEnd(event.exit, audience);
    case 'lagged':
      throw new ConnectError('data_loss', `${event.droppedBytes} bytes of output were not read in time and are lost`);
    case 'error':
      throw errorFromRunner(event.fault);
    case 'accepted':
    case 'watch':
    case 'result':
    case 'end':
      return undefined;
    default:
      return event satisfies never;
  }
};

/** A process's events as `process.ProcessEvent` messages, read as they are asked for. */
export const processEvents = (events: EventStream, audience: Audience): Feed<object> => ({
  next: async () => {
    for (;;) {
      const event = await events.next();
      if (!event) return undefined;
      const view = viewEvent(event, audience);
      if (view) return { event: view };
    }
  },
  cancel: () => events.cancel(),
});
