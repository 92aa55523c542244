/**
 * Items as they are asked for, one after the other. No ReadableStream: several of those in a row, each reading from the one before, cost more
 * than all else that is done for an event.
 */
export interface Feed<T> {
  /** The next item; undefined at the end. Rejects when it fails, and is over then. Ask for one at a time. */
  next(): Promise<T | undefined>;
  /** Nothing more is wanted. */
  cancel(): Promise<void>;
}
