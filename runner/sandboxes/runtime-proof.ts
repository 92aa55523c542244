import { monotonicMs } from '../clock.ts';
import type { ContainerEngine } from '../engine/port.ts';
import type { Logger } from '../log.ts';
import { RunnerError } from '../protocol/errors.ts';
import type { RuntimeFindings } from './runtime-probe.ts';

/** After one that failed: the engine's settings may be put right meanwhile. */
const retryMs = 30_000;

interface RuntimeProofParts {
  /** As the engine calls it. */
  runtime: string;
  /** Rejects where sandboxes can't be run under it; absent where there is nothing to find out. */
  probe: ((image: string) => Promise<RuntimeFindings>) | undefined;
  engine: Pick<ContainerEngine, 'learnRuntime'>;
  /** Once, when it is known to work. */
  onProven: (findings: RuntimeFindings) => void;
  log: Logger;
}

/** Whether sandboxes can be run under this node's runtime: tried with a container of ours until they can. Until then none is begun here. */
export class RuntimeProof {
  readonly #parts: RuntimeProofParts;
  #proven: boolean;
  #trying: Promise<void> | undefined;
  #notBeforeMs = -Infinity;

  constructor(parts: RuntimeProofParts) {
    this.#parts = parts;
    this.#proven = parts.probe === undefined;
  }

  get proven(): boolean {
    return this.#proven;
  }

  /** Beside everything else, and with the first of these images that the node has. */
  tryWith(images: readonly string[]): void {
    const { probe } = this.#parts;
    if (this.#proven || probe === undefined || this.#trying !== undefined || monotonicMs() < this.#notBeforeMs) return;
    this.#trying = this.#try(probe, [...new Set(images)]).finally(() => {
      this.#trying = undefined;
    });
  }

  async settled(): Promise<void> {
    await this.#trying;
  }

  async #try(probe: (image: string) => Promise<RuntimeFindings>, images: readonly string[]): Promise<void> {
    for (const image of images) {
      try {
        return this.#accept(await probe(image));
      } catch (error) {
        if (isImagesFault(error)) continue;
        return this.#refuse(error instanceof Error ? error : new Error(String(error)));
      }
    }
  }

  #accept(findings: RuntimeFindings): void {
    const { runtime, engine, onProven, log } = this.#parts;
    this.#proven = true;
    engine.learnRuntime(findings);
    for (const note of notesOf(runtime, findings)) log.info('engine_note', { note });
    onProven(findings);
  }

  #refuse(error: Error): void {
    this.#notBeforeMs = monotonicMs() + retryMs;
    const { runtime, log } = this.#parts;
    log.error('runtime_unusable', {
      error,
      note:
        `No sandbox is begun here: a container was tried under the runtime ${runtime} (GLOVEBOX_RUNTIME) and does not work. Put it right in ` +
        `/etc/docker/daemon.json and have dockerd read it (systemctl reload docker); it is tried again every ${retryMs / 1000} s.`,
    });
  }
}

/** Another one may show what the runtime can do. */
const isImagesFault = (error: unknown): boolean =>
  error instanceof RunnerError && (error.code === 'template_unavailable' || error.code === 'image_unsupported');

function notesOf(runtime: string, { kind, freezes, reachesNetwork, keepsAttributes }: RuntimeFindings): string[] {
  const under = kind === 'gvisor' ? `gVisor (${runtime})` : `the runtime ${runtime}`;
  return [
    `Sandboxes run under ${under}: a container was tried, and works.`,
    ...(reachesNetwork
      ? []
      : [`Under ${under} programs reach no network: only network off is offered (gVisor: --network=sandbox or host).`]),
    ...(freezes
      ? []
      : [`Under ${under} nothing can be frozen: pauses keep files only, and running sandboxes give no snapshots.`]),
    ...(keepsAttributes
      ? []
      : [
          `Under ${under} files keep no extended attributes, so no metadata, as answers show (gVisor: newer releases keep them).`,
        ]),
  ];
}
