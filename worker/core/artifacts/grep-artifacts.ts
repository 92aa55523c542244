import type { Artifact } from '../../../db/directory.ts';
import { getDisk } from '../disks/get-disk.ts';
import type { Context } from '../ports.ts';
import { artifactsAt } from './artifacts-at.ts';
import { compileGrep, type Grep, type GrepLine } from './grep.ts';
import { listTexts, type Text } from './list-texts.ts';
import { readArtifact } from './read-artifact.ts';

/** Larger texts are skipped. */
const textMaxBytes = 4 * 1024 * 1024;
/** What one request reads, and how long it goes on. */
const readMaxBytes = 128 * 1024 * 1024;
const searchMs = 10_000;
/** R2 serves a request so many reads at a time. */
const readsCount = 6;
/** The bytes of a text, and its characters at two bytes each. */
const heldPerByte = 3;
/** What the worst text of a pattern's maxTextChars takes. */
const worstMs = 1000;
/** What may have been scanned, at worst, before it is looked at how long it took: a look costs more than most texts do. */
const unseenMaxMs = 50;
const unnoticedMs = 5;
const pauseMaxMs = 1000;
/** What is told of a text, and of all together. */
const linesCount = 100;
const lineChars = 500;
const answerChars = 4_000_000;
const skippedCount = 100;

export interface GrepArtifacts {
  flavour: 'native' | 'acontext';
  /** At most 1,000. */
  limit: number;
  ignoreCase?: boolean;
  /** '/dir/': what lies in it and below. */
  directory?: string;
}

export interface GrepResult {
  /** By path and name. `lines` are the first that match; none for acontext, whose patterns match across lines. */
  matches: { artifact: Artifact; lines: GrepLine[] }[];
  /** Full paths of texts that are too large to be searched, the first 100. */
  skipped: string[];
  /** There may be more: the limit, the time or the bytes of a request were reached. */
  truncated: boolean;
}

/** The artifacts of text types that the pattern is found in. Throws not_found, invalid_argument (the pattern), unavailable. */
export const grepArtifacts = async (
  ctx: Context,
  diskId: string,
  pattern: string,
  input: GrepArtifacts,
): Promise<GrepResult> => {
  const { flavour, limit, directory = '/' } = input;
  const { ignoreCase = false } = input;
  const grep = compileGrep(pattern, { flavour, ignoreCase });
  const search: Search = { ctx, grep, withLines: flavour === 'native', found: new Map(), unseenMs: 0 };
  const { hits, skipped, truncated } = await searchTexts(search, listTexts(ctx, diskId, directory), limit);
  if (hits.length === 0) await getDisk(ctx, diskId);
  return { matches: await withArtifacts(ctx, diskId, hits), skipped, truncated };
};

interface Search {
  ctx: Context;
  grep: Grep;
  withLines: boolean;
  /** By blob: equal content is read once. Undefined: the pattern is not in it. */
  found: Map<string, Promise<GrepLine[] | undefined>>;
  /** Since the last look at the clock, at worst. */
  unseenMs: number;
}

interface Hit {
  text: Text;
  lines: GrepLine[];
}

/** In order, reading some texts ahead. */
const searchTexts = async (
  search: Search,
  texts: AsyncIterable<Text>,
  limit: number,
): Promise<{ hits: Hit[]; skipped: string[]; truncated: boolean }> => {
  const { ctx, grep } = search;
  const untilMs = ctx.now() + searchMs;
  const hits: Hit[] = [];
  const skipped: string[] = [];
  const ahead: { text: Text; lines: Promise<GrepLine[] | undefined> }[] = [];
  let readBytes = 0;
  let toldChars = 0;
  const takeNext = async (): Promise<void> => {
    const next = ahead.shift();
    const lines = await next?.lines;
    if (!next || !lines) return;
    hits.push({ text: next.text, lines });
    toldChars += lines.reduce((sum, { text }) => sum + text.length, 0);
  };
  const isOver = (): boolean => hits.length > limit || toldChars > answerChars || ctx.now() > untilMs;
  let truncated = false;
  try {
    for await (const text of texts) {
      ctx.signal.throwIfAborted();
      if (text.sizeBytes > Math.min(textMaxBytes, grep.maxTextChars)) {
        if (skipped.length < skippedCount) skipped.push(text.path + text.name);
        continue;
      }
      readBytes += search.found.has(text.blobId) ? 0 : text.sizeBytes;
      truncated = isOver() || readBytes > readMaxBytes;
      if (truncated) break;
      ahead.push({ text, lines: findOnce(search, text) });
      if (ahead.length >= readsCount) await takeNext();
    }
    while (ahead.length > 0 && !isOver()) await takeNext();
  } finally {
    await Promise.allSettled(ahead.map(({ lines }) => lines));
  }
  return { hits: hits.slice(0, limit), skipped, truncated: truncated || ahead.length > 0 || hits.length > limit };
};

const findOnce = (search: Search, text: Text): Promise<GrepLine[] | undefined> => {
  const known = search.found.get(text.blobId);
  if (known) return known;
  const lines = findLines(search, text);
  // It is waited for in its turn; a failure before that must not count as unhandled.
  lines.catch(() => undefined);
  search.found.set(text.blobId, lines);
  return lines;
};

const findLines = (search: Search, text: Text): Promise<GrepLine[] | undefined> => {
  const { ctx, grep, withLines } = search;
  return ctx.bodyMemory.hold(ctx, text.sizeBytes * heldPerByte, async () => {
    const content = await decode(await readArtifact(ctx, ctx.actor.tenant.id, text), text.contentType);
    const scan = (): GrepLine[] | undefined => {
      if (!withLines) return grep.test(content) ? [] : undefined;
      const lines = grep.lines(content, linesCount, lineChars);
      return lines.length > 0 ? lines : undefined;
    };
    search.unseenMs += (content.length / grep.maxTextChars) * worstMs;
    if (search.unseenMs < unseenMaxMs) return scan();
    search.unseenMs = 0;
    return givingWay(ctx, scan);
  });
};

/** What can't be interrupted is followed by a pause as long, in which the isolate's other requests have their turns. */
const givingWay = async <T>(ctx: Context, work: () => T): Promise<T> => {
  const startedAtMs = ctx.now();
  const result = work();
  // Workers' clock stands still while code runs: it goes on here.
  await pause(0);
  const spentMs = ctx.now() - startedAtMs;
  if (spentMs > unnoticedMs) await pause(Math.min(spentMs, pauseMaxMs));
  return result;
};

const pause = (forMs: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, forMs));

/** Bytes that are none of its characters become U+FFFD. */
const decode = async (body: ReadableStream<Uint8Array>, contentType: string): Promise<string> => {
  const [, wide] = /charset="?(utf-16(?:le|be))/i.exec(contentType) ?? [];
  const response = new Response(body);
  return wide === undefined ? response.text() : new TextDecoder(wide).decode(await response.arrayBuffer());
};

/** What was deleted meanwhile is left out. */
const withArtifacts = async (ctx: Context, diskId: string, hits: readonly Hit[]): Promise<GrepResult['matches']> => {
  const artifacts = await artifactsAt(
    ctx,
    diskId,
    hits.map(({ text }) => text),
  );
  const linesAt = new Map(hits.map(({ text, lines }) => [text.path + text.name, lines]));
  return artifacts.map((artifact) => ({ artifact, lines: linesAt.get(artifact.path + artifact.name) ?? [] }));
};
