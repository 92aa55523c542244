import { RunnerError } from '../protocol/errors.ts';
import { installationLabel } from './container-spec.ts';
import type { DockerClient } from './docker-client.ts';
import type { ContainerEvent } from './port.ts';

/** Events that wait for a slow reader. More than one node's containers can bring forth. */
const queuedEventsMax = 10_000;
const lineCharsMax = 1024 * 1024;

/** Waiting events of one reader. An oom that is waiting already stands for those that follow it. */
export class EventQueue {
  readonly #waiting: ContainerEvent[] = [];
  #failure: Error | undefined;
  #wake: (() => void) | undefined;

  push(event: ContainerEvent): void {
    const repeated = (other: ContainerEvent): boolean =>
      other.kind === 'oom' && other.containerId === event.containerId;
    if (event.kind === 'oom' && this.#waiting.some(repeated)) return;
    if (this.#waiting.length >= queuedEventsMax) {
      this.fail(new RunnerError('engine_failed', `More than ${queuedEventsMax} container events are waiting.`));
      return;
    }
    this.#waiting.push(event);
    this.#wake?.();
  }

  fail(failure: Error): void {
    this.#failure ??= failure;
    this.#wake?.();
  }

  async *read(signal: AbortSignal): AsyncIterable<ContainerEvent> {
    const wake = (): void => this.#wake?.();
    signal.addEventListener('abort', wake, { once: true });
    try {
      while (!signal.aborted) {
        const event = this.#waiting.shift();
        if (event !== undefined) yield event;
        else if (this.#failure !== undefined) throw this.#failure;
        else await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    } finally {
      signal.removeEventListener('abort', wake);
    }
  }
}

/** Follows the engine's events of one installation into the queue until aborted; resolves once the engine is listening. */
export async function followEngine(
  docker: DockerClient,
  installationId: string,
  queue: EventQueue,
  signal: AbortSignal,
): Promise<void> {
  const stream = await docker.getEvents({
    abortSignal: signal,
    filters: { type: ['container'], event: ['die'], label: [`${installationLabel}=${installationId}`] },
  });
  const gone = (cause?: unknown): void => {
    if (!signal.aborted)
      queue.fail(new RunnerError('engine_failed', 'The container engine’s events ended.', { cause }));
  };
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > lineCharsMax) gone();
    for (const line of lines) {
      const event = parseEngineEvent(line);
      if (event !== undefined) queue.push(event);
    }
  });
  stream.on('error', gone);
  stream.on('end', gone);
  stream.on('close', gone);
}

/** A line of the engine's event stream; undefined for kinds that don't matter here. */
export function parseEngineEvent(line: string): ContainerEvent | undefined {
  if (line.trim() === '') return undefined;
  const event = JSON.parse(line) as { Action?: string; Actor?: { ID?: string; Attributes?: Record<string, string> } };
  const containerId = event.Actor?.ID;
  if (containerId === undefined) return undefined;
  if (event.Action !== 'die') return undefined;
  return { kind: 'exited', containerId, exitCode: Number(event.Actor?.Attributes?.['exitCode'] ?? -1) };
}
