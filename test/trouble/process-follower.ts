import { readEvents } from '../../bench/server-sent-events.ts';
import type { TestTenant } from '../installation.ts';

interface Exit {
  exitCode: number | null;
  signal: string | null;
  reason: string;
}

/** Reads a background process's events as a careful client does: after a cut it goes on from the last event that it has seen. */
export class ProcessFollower {
  readonly #tenant: TestTenant;
  readonly #sandboxId: string;
  readonly processId: string;
  output = '';
  exit: Exit | undefined;
  droppedBytes = 0;
  connections = 0;
  /** Of the connection that ended last. */
  cut: unknown;
  #lastEventId: string | undefined;

  private constructor(tenant: TestTenant, sandboxId: string, processId: string) {
    this.#tenant = tenant;
    this.#sandboxId = sandboxId;
    this.processId = processId;
  }

  static async start(tenant: TestTenant, sandboxId: string, command: string): Promise<ProcessFollower> {
    const path = `/v1/sandboxes/${sandboxId}/processes`;
    const { processId } = await tenant.json<{ processId: string }>(path, {
      method: 'POST',
      json: { command },
      status: 201,
    });
    return new ProcessFollower(tenant, sandboxId, processId);
  }

  /** One connection, until the process has exited or the connection is cut; never throws for a cut: see `exit` and `cut`. */
  async follow(): Promise<void> {
    this.connections += 1;
    this.cut = undefined;
    try {
      const response = await this.#tenant.api(`/v1/sandboxes/${this.#sandboxId}/processes/${this.processId}/events`, {
        headers: this.#lastEventId === undefined ? {} : { 'last-event-id': this.#lastEventId },
      });
      if (response.status !== 200 || !response.body) throw new Error(`${response.status} ${await response.text()}`);
      for await (const { event, id, data } of readEvents(response.body)) {
        if (id !== undefined) this.#lastEventId = id;
        this.#take(event, JSON.parse(data) as Record<string, unknown>);
      }
    } catch (error) {
      this.cut = error;
    }
  }

  #take(event: string, data: Record<string, unknown>): void {
    switch (event) {
      case 'stdout':
        this.output += String(data['data']);
        return;
      case 'lagged':
        this.droppedBytes += Number(data['droppedBytes']);
        return;
      case 'exit':
        this.exit = data as unknown as Exit;
        return;
      case 'error':
        throw new Error(`the stream ended with ${JSON.stringify(data)}`);
      case 'started':
      case 'stderr':
        return;
      default:
        throw new Error(`unknown event ${event}`);
    }
  }
}

/** Prints 1, 2, … `count`, a line each `everySeconds`. */
export const countingCommand = (count: number, everySeconds: number): string =>
  `for i in $(seq 1 ${count}); do echo $i; sleep ${everySeconds}; done`;
export const countedOutput = (count: number): string =>
  Array.from({ length: count }, (_, index) => `${index + 1}\n`).join('');
