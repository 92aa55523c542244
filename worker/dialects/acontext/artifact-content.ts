import { contentKindOf, readContent } from '../../core/artifacts/parse-content.ts';
import { readArtifact } from '../../core/artifacts/read-artifact.ts';
import type { Context } from '../../core/ports.ts';
import type { Artifact } from './artifact-view.ts';

/** Content past this is left out of an answer: fetch its URL. */
const contentMaxBytes = 16 * 1024 * 1024;
/** The bytes, their text (two bytes a character at worst), and the answer that it is written into. */
const heldPerByte = 4;

type ParsedContent = NonNullable<ReturnType<typeof readContent>>;

/** The text of an artifact of a kind that Acontext parses; undefined for any other, and for what does not parse. */
export const readParsedContent = async (ctx: Context, artifact: Artifact): Promise<ParsedContent | undefined> => {
  const kind = contentKindOf(artifact.name, artifact.contentType);
  if (kind === undefined || artifact.sizeBytes > contentMaxBytes) return undefined;
  return ctx.bodyMemory.hold(ctx, artifact.sizeBytes * heldPerByte, async () => {
    const body = await readArtifact(ctx, ctx.actor.tenant.id, artifact);
    return readContent(kind, new Uint8Array(await new Response(body).arrayBuffer()));
  });
};
