import type { Logger } from '../log.ts';

/** What a pause that keeps processes means on this node: 'freeze': they stay in memory. 'criu': they are written to disk. */
export type CheckpointCapability = 'freeze' | 'criu';

/** Found out once, when the first image is known, by making a checkpoint and restoring it. */
export class Checkpointing {
  #capability: CheckpointCapability = 'freeze';
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
      this.#capability = 'criu';
      this.#log.info('engine_note', {
        note: 'A pause that keeps processes frees their memory: checkpoints work here (CRIU).',
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
