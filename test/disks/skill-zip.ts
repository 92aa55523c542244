import { packZip } from '../../worker/core/formats/zip-write.ts';

export const manifest = (name: string, description = 'What it is for'): string =>
  `---\nname: ${name}\ndescription: ${description}\n---\n# ${name}\n`;

/** A zip of these files: path → content. */
export const zipOf = async (files: Record<string, string | Uint8Array>): Promise<Uint8Array<ArrayBuffer>> => {
  const encoder = new TextEncoder();
  const entries = Object.entries(files).map(([path, content]) => ({
    path,
    modifiedAtMs: Date.UTC(2026, 0, 1),
    body: typeof content === 'string' ? encoder.encode(content) : content,
  }));
  return new Uint8Array(await new Response(packZip(entries)).arrayBuffer());
};
