import type { EgressRules } from '../protocol/egress.ts';
import { clearScript, egressOf, sameEgress, setScript, type Egress, type EgressByAddress } from './egress-rules.ts';

/** Where a container is reached on the bridge; undefined where it does not run and has no address of its own. */
export interface Place {
  containerId: string;
  address: string | undefined;
}

/** Which container has which rules of its own, and at which address they are in force. */
export class EgressTable {
  readonly #installationId: string;
  /** One step in the node's packet filter. */
  readonly #change: (script: string) => Promise<void>;
  readonly #byContainer = new Map<string, { address: string | undefined; egress: Egress }>();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(installationId: string, change: (script: string) => Promise<void>) {
    this.#installationId = installationId;
    this.#change = change;
  }

  /** What the packet filter should hold. */
  byAddress(): EgressByAddress {
    const placed = [...this.#byContainer.values()];
    return new Map(placed.flatMap(({ address, egress }) => (address === undefined ? [] : [[address, egress]])));
  }

  /** One at a time writes to the packet filter. */
  async exclusively<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work);
    this.#turn = mine.catch(() => undefined);
    return await mine;
  }

  /** What an earlier life of the runner has put in place. */
  keep({ containerId, address }: Place, rules: EgressRules): void {
    const egress = egressOf(rules);
    if (egress) this.#byContainer.set(containerId, { address, egress });
  }

  /**
   * Resolves once the rules are in force for the container, in place of those that it had. Where it has no address they are, from the moment
   * on when it gets one.
   */
  async set(place: Place, rules: EgressRules): Promise<void> {
    const egress = egressOf(rules);
    const before = this.#byContainer.get(place.containerId);
    if (sameEgress(egress, before?.egress)) return;
    if (egress === undefined) return await this.clear(place.containerId);
    await this.#place({ ...place, address: place.address ?? before?.address }, egress);
  }

  /** A container is at this address now: what is in force there for another one, which is gone, must not be its, and what it had elsewhere is here. */
  async settle({ containerId, address }: { containerId: string; address: string }): Promise<void> {
    const stale = [...this.#byContainer].filter(([id, its]) => its.address === address && id !== containerId);
    for (const [id] of stale) await this.leave(id);
    const own = this.#byContainer.get(containerId);
    if (!own || own.address === address) return;
    await this.leave(containerId);
    await this.#place({ containerId, address }, own.egress);
  }

  async #place({ containerId, address }: Place, egress: Egress): Promise<void> {
    await this.exclusively(async () => {
      const before = this.#byContainer.get(containerId);
      this.#byContainer.set(containerId, { address, egress });
      if (address === undefined) return;
      try {
        await this.#change(setScript(this.#installationId, address, egress, before?.address === undefined));
      } catch (cause) {
        if (before === undefined) this.#byContainer.delete(containerId);
        else this.#byContainer.set(containerId, before);
        throw cause;
      }
    });
  }

  /** Its rules wait for the next address that it gets. */
  async leave(containerId: string): Promise<void> {
    if (!this.#byContainer.has(containerId)) return;
    await this.exclusively(async () => {
      const its = this.#byContainer.get(containerId);
      if (its?.address === undefined) return;
      const { address, egress } = its;
      this.#byContainer.set(containerId, { address: undefined, egress });
      await this.#change(clearScript(this.#installationId, address));
    });
  }

  /** It has none from now on, or is gone. */
  async clear(containerId: string): Promise<void> {
    if (!this.#byContainer.has(containerId)) return;
    try {
      await this.leave(containerId);
    } finally {
      this.#byContainer.delete(containerId);
    }
  }
}
