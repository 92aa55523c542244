import type { OutEvent, OutHeader } from '../../../runner/protocol/channel.ts';
import type { FileWatch } from '../../../runner/protocol/files.ts';
import { limits } from '../../../runner/protocol/limits.ts';
import { errorFromRunner, ServiceError } from '../../core/errors.ts';
import type { SandboxRef } from '../../core/ports.ts';
import { envelopeOf } from './calls.ts';
import type { Channel, Receiver } from './channel.ts';
import { StreamSink, type Source } from './process-sinks.ts';
import type { LiveRoute } from './routes.ts';
import { runnerLost, type Shard } from './shard.ts';

/** Grants smaller than this are saved up. */
const GRANT_BYTES = limits.channelCreditBytes / 4;

/** Follows one directory. What was missed can't be had again, so a loss on the way ends it and the caller watches anew. */
export class FileWatcher implements Receiver, Source {
  readonly sink = new StreamSink(false);
  readonly #shard: Shard;
  readonly #onOver: (watcher: FileWatcher) => void;
  #channel: Channel | undefined;
  #owedBytes = 0;
  #over = false;

  constructor(shard: Shard, onOver: (watcher: FileWatcher) => void) {
    this.#shard = shard;
    this.#onOver = onOver;
    this.sink.source = this;
  }

  async open(ref: SandboxRef, route: LiveRoute, watch: FileWatch): Promise<void> {
    const payload = { ...envelopeOf(ref, route), watch, creditBytes: limits.channelCreditBytes };
    try {
      this.#channel = await this.#shard.deliver('file.watch', route.runnerId, payload, this);
    } catch (error) {
      this.#end();
      throw error;
    }
    // The sandbox may have ended, or the stream been lost, before the delivery was confirmed.
    if (this.#over) this.#shard.detach(this.#channel);
  }

  event(header: OutHeader): void {
    if (header.t === 'accepted') return;
    if (header.t === 'lagged') return this.lost();
    if (header.t === 'error') return this.fail(errorFromRunner(header.fault));
    if (header.t !== 'watch') return this.fail(runnerLost(new Error(`unexpected event ${header.t}`)));
    const event: OutEvent = { t: 'watch', events: header.events, droppedEvents: header.droppedEvents };
    this.sink.event(event, undefined);
  }

  fail(error: ServiceError): void {
    this.sink.fail(error);
    this.detach();
  }

  lost(): void {
    this.sink.fail(
      new ServiceError('stream_lost', 'File events may have been missed. Watch again, and look at what is there.'),
    );
    this.#end();
  }

  consumed(bytes: number): void {
    this.#owedBytes += bytes;
    if (this.#owedBytes < GRANT_BYTES || !this.#channel) return;
    const granted = this.#owedBytes;
    this.#owedBytes = 0;
    this.#shard.tell(this.#channel, { c: this.#channel.id, t: 'credit', bytes: granted }).catch(() => undefined);
  }

  #end(): void {
    this.#over = true;
    this.#onOver(this);
  }

  detach(): void {
    this.#end();
    if (this.#channel) this.#shard.detach(this.#channel);
  }
}
