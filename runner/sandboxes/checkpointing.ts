import { monotonicMs } from '../clock.ts';
import type { Logger } from '../log.ts';
import type { CheckpointCapability } from '../protocol/node-report.ts';
import type { RuntimeFindings } from './runtime-probe.ts';

/** A busy node may be too slow for one try; what fails each time does not work here. */
const triesMax = 3;
const retryMs = 30_000;

/** Found out when the first image is known, by making a checkpoint and restoring it. */
export class Checkpointing {
  #capability: CheckpointCapability = 'freeze';
  #means: 'criu' | 'gvisor' = 'criu';
  #freezes = true;
  #probing: Promise<void> | undefined;
  #tries = 0;
  #notBeforeMs = -Infinity;
  readonly #probe: ((image: string) => Promise<void>) | undefined;
  readonly #log: Logger;

  /** `probe` rejects where it doesn't work; absent where there is no point in trying. */
  constructor(probe: ((image: string) => Promise<void>) | undefined, log: Logger) {
    this.#probe = probe;
    this.#log = log;
  }

  get capability(): CheckpointCapability {
    return this.#capability;
  }

  /** Whether a pause that keeps processes writes them to disk, where that can be done. */
  get frees(): boolean {
    return this.#capability === 'criu' || this.#capability === 'gvisor';
  }

  /** Whether what runs can be made to stand still. */
  get freezes(): boolean {
    return this.#freezes;
  }

  /** What this node's runtime has shown, before any probe. */
  learn({ kind, freezes }: Pick<RuntimeFindings, 'kind' | 'freezes'>): void {
    this.#freezes = freezes;
    if (!freezes) this.#capability = 'none';
    if (kind !== undefined) this.#means = kind;
  }

  /** Beside everything else, and until it is known. */
  probeWith(image: string): void {
    if (this.#probe === undefined || this.#probing !== undefined || this.frees) return;
    if (this.#tries === triesMax || monotonicMs() < this.#notBeforeMs) return;
    this.#tries++;
    this.#probing = this.#try(this.#probe(image)).finally(() => {
      this.#probing = undefined;
    });
  }

  async settled(): Promise<void> {
    await this.#probing;
  }

  async #try(probe: Promise<void>): Promise<void> {
    try {
      await probe;
      this.#capability = this.#means;
      this.#log.info('engine_note', {
        note: `A pause that keeps processes frees their memory: checkpoints work here (${this.#means === 'criu' ? 'CRIU' : 'gVisor'}).`,
      });
    } catch (error) {
      this.#notBeforeMs = monotonicMs() + retryMs;
      const again = this.#tries < triesMax;
      this.#log.info('engine_note', {
        note:
          `A pause that keeps processes keeps their memory in use: a checkpoint was tried, and ` +
          (again ? `did not work; it is tried again in ${retryMs / 1000} s.` : 'does not work here.'),
        error: error instanceof Error ? error : new Error(String(error)),
      });
    }
  }
}
