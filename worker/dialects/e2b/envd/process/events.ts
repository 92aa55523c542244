import { encodeBase64 } from '../../../../core/base64.ts';
import { errorFromRunner } from '../../../../core/errors.ts';
import type { EventStream, StreamEvent } from '../../../../core/ports.ts';

const dataKind = ['pty', 'stdout', 'stderr'] as const;

const viewExit = ({ exit }: Extract<StreamEvent, { t: 'exit' }>): object => {
  if (exit.exitCode === null) {
    const status = `signal: ${(exit.signal ?? '').replace(/^SIG/, '').toLowerCase()}`;
    return { exitCode: -1, exited: false, status, error: status };
  }
  const status = `exit status ${exit.exitCode}`;
  return { exitCode: exit.exitCode, exited: true, status, ...(exit.exitCode === 0 ? {} : { error: status }) };
};

const viewEvent = (event: StreamEvent): object | undefined => {
  switch (event.t) {
    case 'started':
      return { start: { pid: event.pid } };
    case 'data':
      return { data: { [dataKind[event.fd]]: encodeBase64(event.bytes ?? new Uint8Array()) } };
    case 'exit':
      return { end: viewExit(event) };
    case 'error':
      throw errorFromRunner(event.fault);
    default:
      return undefined;
  }
};

/** A process's events as `process.ProcessEvent` messages. */
export const processEvents = (events: EventStream): ReadableStream<object> =>
  events.pipeThrough(
    new TransformStream<StreamEvent, object>({
      transform: (event, controller) => {
        const view = viewEvent(event);
        if (view) controller.enqueue({ event: view });
      },
    }),
  );
