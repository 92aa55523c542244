import type { AgentSession } from '../agent/session.ts';
import type { Captured } from '../engine/container-layer.ts';
import type { CapturedMemory } from '../engine/memory-images.ts';
import type { CaptureRequest, ContainerEngine } from '../engine/port.ts';
import { unlessAborted } from '../clock.ts';
import { Gate } from '../gate.ts';
import type { Logger } from '../log.ts';
import { RunnerError } from '../protocol/errors.ts';
import type { SnapshotPart, SnapshotSource, TakenSnapshot } from '../protocol/snapshots.ts';
import { openArchive, packArchive, type ArchivedMemory } from './archive.ts';
import { LayerGuard, type LayerLimits } from './layer-guard.ts';
import { ObjectTransfer } from './object-transfer.ts';
import { SnapshotStore } from './store.ts';

const mib = 1024 * 1024;
/** As the disk watcher has it. */
const bytesPerEntry = 16 * 1024;
/** Of a tar beyond what its files take: a sandbox at its limit still fits. */
const tarOverheadBytes = 64 * mib;
/** An upload is as long as the object is large; its own guards end one that stands still. */
const uploadMaxMs = 30 * 60_000;
/** Each keeps the runner's one thread busy while its sandbox stands still: more at once would only stand still for longer. */
const takenAtOnce = 2;
/** It leaves most of its job's time to a snapshot that was last in the row. */
const takeWaitMs = 20_000;
/** Of one tenant on a node, for a place to take or to fetch one. */
const waitingMax = 64;
/** As long as its URL is good for: what is too large for one create's time is there for the next. */
const fetchMaxMs = 10 * 60_000;
/** Each holds one range of its object in memory. */
const fetchedAtOnce = 4;

export interface SnapshotBoot {
  /** Of the sandbox that it was taken of, where it is to go on. */
  environment: Record<string, string>;
  /** For the container, before it is started. */
  filesystem: AsyncIterable<Uint8Array>;
  /** What goes on in it then, and of which processes the host has promised when they end. */
  memory: CapturedMemory | undefined;
  processes: ArchivedMemory['processes'];
}

/** Of what a snapshot is taken. */
export interface SnapshotSubject {
  containerId: string;
  tenantId: string;
  /** Of all that runs in it; empty unless what boots is to have it. */
  environment: Record<string, string>;
  /** 'live': written for the snapshot, if it can be; its agent's connections are cut for it. 'written': by its pause. 'none': files alone. */
  memory: CaptureRequest['memory'];
  session: Pick<AgentSession, 'hangUp' | 'listen'>;
  /** As of the moment that is asked. */
  processes: () => ArchivedMemory['processes'];
}

interface Asking {
  tenantId: string;
  signal: AbortSignal;
}

interface SnapshotsParts {
  engine: Pick<ContainerEngine, 'capture'>;
  directory: string;
  cacheLimitMiB: number;
  /** Of one sandbox. */
  diskLimitMiB: number;
  log: Logger;
}

/** Takes snapshots of containers' file systems, keeps them sealed, brings them to the object store and back. */
export class Snapshots {
  readonly #parts: SnapshotsParts;
  readonly #store: SnapshotStore;
  readonly #transfer = new ObjectTransfer();
  readonly #limits: LayerLimits;
  readonly #fetching = new Map<string, Promise<void>>();
  readonly #stop = new AbortController();
  readonly #taking = new Gate({ places: takenAtOnce, waitMs: takeWaitMs, waitingMax, full: tooMany });
  readonly #downloading = new Gate({ places: fetchedAtOnce, waitMs: fetchMaxMs, waitingMax, full: tooMany });

  constructor(parts: SnapshotsParts) {
    this.#parts = parts;
    const { directory, cacheLimitMiB, diskLimitMiB, log } = parts;
    this.#store = new SnapshotStore({ directory, limitBytes: cacheLimitMiB * mib, log });
    const diskBytes = diskLimitMiB * mib;
    this.#limits = { bytes: diskBytes + tarOverheadBytes, entries: Math.ceil(diskBytes / bytesPerEntry) };
  }

  async open(): Promise<void> {
    await this.#store.open();
  }

  /** The container stands still until its files have been read. Throws capacity_exhausted where others take too long. */
  async take(
    subject: SnapshotSubject,
    { id, key }: { id: string; key: Uint8Array },
    signal: AbortSignal,
  ): Promise<TakenSnapshot> {
    const { containerId, tenantId, memory, session } = subject;
    return await this.#taking.pass(tenantId, signal, async () => {
      // A connection to the host can't be written down. The agent dials until it is listened to again.
      if (memory === 'live') await session.hangUp();
      try {
        const consume = (captured: Captured) => this.#seal(subject, { id, key }, captured, signal);
        return await this.#parts.engine.capture({ containerId, memory }, consume, signal);
      } finally {
        if (memory === 'live') await session.listen();
      }
    });
  }

  async #seal(
    { environment, processes, session, memory: asked }: SnapshotSubject,
    { id, key }: { id: string; key: Uint8Array },
    { image, layer, memory, memoryFailure }: Captured,
    signal: AbortSignal,
  ): Promise<TakenSnapshot> {
    if (asked === 'live') await session.listen();
    if (memoryFailure) this.#parts.log.warn('checkpoint_failed', { snapshotId: id, error: memoryFailure });
    const guard = new LayerGuard(this.#limits);
    const head = { env: environment, memory: memory ? { ...memory.facts, processes: processes() } : null };
    const archive = packArchive(key, head, { layer, memory: memory?.bytes }, guard);
    const { sizeBytes } = await this.#store.write(id, archive, signal);
    return { sizeBytes, contentBytes: guard.bytes, image, memoryKept: memory !== undefined };
  }

  /**
   * Hands to `work` what a container begins with. A copy here that has gone, or gone bad, is fetched anew, once. A fetch that has begun goes
   * on when whoever asked for it gives up.
   */
  async boot<T>(source: SnapshotSource, asking: Asking, work: (boot: SnapshotBoot) => Promise<T>): Promise<T> {
    const replaceable = source.url !== null;
    await this.#fetch(source, asking);
    try {
      return await this.#open(source, work);
    } catch (error) {
      if (!isUseless(error)) throw error;
      await this.#store.remove(source.id);
      this.#parts.log.warn('snapshot_useless', { snapshotId: source.id, replaceable, error });
      if (!replaceable) throw error;
    }
    await this.#fetch(source, asking);
    return await this.#open(source, work);
  }

  /** One that was taken here, to the object store. */
  async upload(id: string, parts: readonly SnapshotPart[]): Promise<{ parts: { part: number; etag: string }[] }> {
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(uploadMaxMs)]);
    return { parts: await this.#store.use(id, (file) => this.#transfer.upload(file, parts, signal)) };
  }

  async drop(id: string): Promise<void> {
    await this.#store.remove(id);
  }

  /** `remove`: nothing of it stays on the node. */
  async close(remove: boolean): Promise<void> {
    this.#stop.abort(new Error('the runner stops'));
    await this.#transfer.close();
    if (remove) await this.#store.clear();
  }

  async #open<T>(
    { id, key, inheritEnvironment }: SnapshotSource,
    work: (boot: SnapshotBoot) => Promise<T>,
  ): Promise<T> {
    return await this.#store.use(id, async (file) => {
      const archive = await openArchive(Buffer.from(key, 'base64'), file.read(), this.#limits);
      const { env, memory } = archive.head;
      try {
        return await work({
          environment: inheritEnvironment ? env : {},
          filesystem: archive.layer,
          memory: memory === null ? undefined : { facts: memory, bytes: archive.memory },
          processes: memory?.processes ?? [],
        });
      } finally {
        await archive.close();
      }
    });
  }

  /** Once at a time for each, whoever asks. */
  async #fetch({ id, url, sizeBytes }: SnapshotSource, asking: Asking): Promise<void> {
    if (this.#store.has(id)) return;
    if (url === null) throw new RunnerError('snapshot_unavailable', 'The snapshot is not on this node any more.');
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(fetchMaxMs)]);
    const fetching =
      this.#fetching.get(id) ??
      this.#downloading
        .pass(asking.tenantId, signal, () =>
          this.#store.write(id, this.#transfer.download(url, sizeBytes, signal), signal),
        )
        .then(() => undefined)
        .finally(() => this.#fetching.delete(id));
    this.#fetching.set(id, fetching);
    await unlessAborted(fetching, asking.signal);
  }
}

const isUseless = (error: unknown): error is RunnerError =>
  error instanceof RunnerError && (error.code === 'snapshot_corrupt' || error.code === 'snapshot_unavailable');

const tooMany = (): RunnerError =>
  new RunnerError('capacity_exhausted', 'The node is busy with other sandboxes’ snapshots; try again shortly.');
