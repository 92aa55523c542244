import { limits } from '../protocol/limits.ts';
import type { Heartbeat } from '../protocol/node-report.ts';
import type { Command } from '../protocol/process.ts';

type ExecRecord = Heartbeat['history'][number]['records'][number];

/** Kept until a heartbeat has carried them; the oldest go first. */
const RECORDS = 5_000;
const BYTES = 8 * 1024 * 1024;
/** Of one heartbeat, as JSON: all of it may be one sandbox's and thus one row of D1, which takes 2 MB at most. */
const BATCH_BYTES = 512 * 1024;
const BATCH_SANDBOXES = 200;
const BATCH_RECORDS = 200;

interface Kept {
  sandboxId: string;
  record: ExecRecord;
  bytes: number;
}

/** What ran in the sandboxes, on its way to the state of record. */
export class History {
  #kept: Kept[] = [];
  #bytes = 0;
  /** Records that were never reported, since the start. */
  droppedRecords = 0;

  add(sandboxId: string, record: ExecRecord): void {
    // As it travels: a control character takes six bytes.
    const bytes = Buffer.byteLength(JSON.stringify(record));
    this.#kept.push({ sandboxId, record, bytes });
    this.#bytes += bytes;
    while (this.#kept.length > RECORDS || this.#bytes > BYTES) {
      this.#bytes -= this.#kept.shift()?.bytes ?? 0;
      this.droppedRecords++;
    }
  }

  /** Whether something that ran in the sandbox has not been reported yet. */
  has(sandboxId: string): boolean {
    return this.#kept.some((kept) => kept.sandboxId === sandboxId);
  }

  /** The oldest records that fit a heartbeat. `confirm` forgets them; without it they come again. */
  batch(): { history: Heartbeat['history']; confirm: () => void } {
    const bySandbox = new Map<string, ExecRecord[]>();
    const taken = new Set<Kept>();
    let bytes = 0;
    for (const kept of this.#kept) {
      const records = bySandbox.get(kept.sandboxId) ?? [];
      const full = records.length >= BATCH_RECORDS || (records.length === 0 && bySandbox.size >= BATCH_SANDBOXES);
      if (full || bytes + kept.bytes > BATCH_BYTES) break;
      records.push(kept.record);
      bySandbox.set(kept.sandboxId, records);
      taken.add(kept);
      bytes += kept.bytes;
    }
    return {
      history: [...bySandbox].map(([sandboxId, records]) => ({ sandboxId, records })),
      confirm: () => {
        this.#kept = this.#kept.filter((kept) => !taken.has(kept));
        this.#bytes = this.#kept.reduce((sum, kept) => sum + kept.bytes, 0);
      },
    };
  }
}

/** The command as history shows it, cut at a whole character. */
export function commandText(command: Command): string {
  const text = command.kind === 'shell' ? command.script : command.argv.join(' ');
  if (text.length <= limits.historyCommandBytes && Buffer.byteLength(text) <= limits.historyCommandBytes) return text;
  const cut = Buffer.from(text.slice(0, limits.historyCommandBytes)).subarray(0, limits.historyCommandBytes);
  return cut.toString().replace(/\uFFFD+$/, '');
}
