import { finalKinds, outHeader, type OutHeader } from '../../../runner/protocol/channel.ts';
import type { ServiceError } from '../../core/errors.ts';

/** Who follows a channel. After `fail` or a final event nothing more comes. */
export interface Receiver {
  event(header: OutHeader, bytes: Uint8Array | undefined): void;
  fail(error: ServiceError): void;
  /** Events may be missing: a gap in the sequence, or the stream itself is gone. The channel is closed. */
  lost(): void;
}

/** The reader's end of one conversation with a runner. */
export class Channel {
  readonly id: string;
  readonly runnerId: string;
  /** null: any life of the runner may answer (lifecycle jobs are redelivered). */
  boot: string | null;
  readonly receiver: Receiver;
  /** By our clock; later than the runner would still begin. */
  readonly acceptByMs: number;
  accepted = false;
  /** By our clock: when its receiver has waited long enough for the answer. */
  answerByMs = Number.POSITIVE_INFINITY;
  #next = 0;

  constructor(id: string, runnerId: string, boot: string | null, acceptByMs: number, receiver: Receiver) {
    this.id = id;
    this.runnerId = runnerId;
    this.boot = boot;
    this.acceptByMs = acceptByMs;
    this.receiver = receiver;
  }

  /** Applies in order and ignores repeats. 'over' after a final event, 'gap' when something is missing. */
  apply(header: OutHeader, bytes: Uint8Array | undefined): 'open' | 'over' | 'gap' {
    if (header.q < this.#next) return 'open';
    if (header.q > this.#next) return 'gap';
    this.#next += 1;
    this.accepted = true;
    this.receiver.event(header, bytes);
    const over = finalKinds.includes(header.t) || (header.t === 'lagged' && header.detached);
    return over ? 'over' : 'open';
  }
}

/** The channel that an entry claims to be for, before anything else of it is believed. */
export const channelOf = (header: unknown): string | undefined => {
  const id = typeof header === 'object' && header !== null && 'c' in header ? header.c : undefined;
  return typeof id === 'string' ? id : undefined;
};

/** Checked by hand for the kinds that most entries are, by schema for the rest. */
export const parseHeader = (header: unknown): OutHeader | undefined => {
  const fields = header as Record<string, unknown>;
  const { t, q } = fields;
  if (typeof q !== 'number' || !Number.isSafeInteger(q) || q < 0) return undefined;
  if (t === 'accepted') return header as OutHeader;
  if (t === 'data' && (fields['fd'] === 0 || fields['fd'] === 1 || fields['fd'] === 2) && isCount(fields['o']))
    return header as OutHeader;
  return outHeader.safeParse(header).data;
};

const isCount = (value: unknown): boolean => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
