import { essenceOf, extensionOf } from './content-type.ts';
import { isCsv } from './is-csv.ts';
import { isJson } from './is-json.ts';

export type ContentKind = 'json' | 'csv' | 'code' | 'text';

/** By extension or by type, the first kind that either names; undefined for what is not shown as text. */
export const contentKindOf = (name: string, contentType: string): ContentKind | undefined => {
  const extension = extensionOf(name);
  const essence = essenceOf(contentType);
  if (extension === 'json' || essence.startsWith('application/json')) return 'json';
  if (extension === 'csv' || essence === 'text/csv' || essence === 'application/csv') return 'csv';
  if (codeExtensions.has(extension) || codeTypes.has(essence)) return 'code';
  if (textExtensions.has(extension) || essence.startsWith('text/') || textTypes.has(essence)) return 'text';
  return undefined;
};

const setOf = (words: string): ReadonlySet<string> => new Set(words.trim().split(/\s+/));

const codeExtensions = setOf(`
  go py js ts tsx jsx java cpp c h hpp cs php rb rs swift kt scala sh bash zsh sql r m pl lua vim dockerfile makefile cmake
  proto thrift graphql gql vue svelte astro
`);
const codeTypes = setOf(`
  text/javascript application/javascript application/x-javascript text/typescript application/typescript
  text/x-go text/x-python application/x-python text/x-rust text/x-ruby application/x-ruby text/x-java text/x-c text/x-c++
  text/x-csharp text/x-php application/x-php application/x-httpd-php text/x-swift text/x-kotlin text/x-scala
  text/x-sh text/x-shellscript application/x-sh text/x-sql application/sql text/x-perl text/x-lua
`);
const textExtensions = setOf('txt md markdown log yml yaml xml html htm');
const textTypes = setOf('application/xml application/x-yaml');

/**
 * The whole text, without its byte order mark; undefined where it is not UTF-8, and for JSON and CSV that are none. Takes up to
 * two bytes of memory a byte besides `bytes`, and builds no values: those of 16 MiB of JSON can take 400 MB.
 */
export const readContent = (kind: ContentKind, bytes: Uint8Array): { type: ContentKind; raw: string } | undefined => {
  const raw = decodeUtf8(bytes);
  if (raw === undefined) return undefined;
  if (kind === 'json' && !isJson(raw)) return undefined;
  if (kind === 'csv' && !isCsv(raw)) return undefined;
  return { type: kind, raw };
};

const decodeUtf8 = (bytes: Uint8Array): string | undefined => {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch (error) {
    // What a fatal decoder answers to bytes that are not UTF-8.
    if (error instanceof TypeError) return undefined;
    throw error;
  }
};
