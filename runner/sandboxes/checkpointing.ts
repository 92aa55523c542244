import type { Logger } from '../log.ts';
import type { CheckpointCapability } from '../protocol/node-report.ts';
import type { RuntimeFindings } from './runtime-probe.ts';

/** Found out once, when the first image is known, by making a checkpoint and restoring it. */
export class Checkpointing {
  #capability: CheckpointCapability = 'freeze';
  #means: 'criu' | 'gvisor' = 'criu';
  #freezes = true;
  #probing: Promise<void> | undefined;
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

  /** Of the first image that it is given, beside everything else. */
  probeWith(image: string): void {
    if (this.#probe !== undefined) this.#probing ??= this.#try(this.#probe(image));
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
      const cause = error instanceof Error ? error : new Error(String(error));
      this.#log.info('engine_note', {
        note: 'A pause that keeps processes keeps their memory in use: a checkpoint was tried, and does not work here.',
        error: cause,
      });
    }
  }
}
