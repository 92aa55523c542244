/** How many of the first bytes a type is told from: more than any signature here needs, and a fair sample of a text. */
export const contentTypeHeadBytes = 4100;

/**
 * The type of a file by its first bytes (≤ contentTypeHeadBytes) and its name, whatever its sender called it. Text is what is
 * UTF-8, or UTF-16 with a byte order mark, and holds no control characters that texts don't have; its name says which kind.
 */
export const sniffContentType = (head: Uint8Array, name: string): string => {
  // Text throughout, as some PDFs are; readers know it by these bytes alone.
  if (startsWith(head, '%PDF-')) return 'application/pdf';
  const charset = charsetOf(head);
  if (charset) return `${textTypes.get(extensionOf(name)) ?? 'text/plain'}; charset=${charset}`;
  return binaryTypeOf(head, name) ?? 'application/octet-stream';
};

/** What grep looks into: text/*, application/json and application/x-*, but for the archives and programs that have such a type. */
export const isGreppable = (contentType: string): boolean => {
  const essence = essenceOf(contentType);
  return (
    /^(?:text\/|application\/json$|application\/x-)/.test(essence) && !signatures.some(({ type }) => type === essence)
  );
};

/** 'Text/Plain; charset=utf-8' → 'text/plain' */
export const essenceOf = (contentType: string): string => (contentType.split(';', 1)[0] ?? '').trim().toLowerCase();

/** 'a.tar.GZ' → 'gz'; '' without one. A leading dot begins an extension, as in '.py'. */
export const extensionOf = (name: string): string => {
  const dot = name.lastIndexOf('.');
  return dot === -1 ? '' : name.slice(dot + 1).toLowerCase();
};

/** Acontext's table. */
const textTypes: ReadonlyMap<string, string> = new Map([
  ['md', 'text/markdown'],
  ['yaml', 'text/yaml'],
  ['yml', 'text/yaml'],
  ['csv', 'text/csv'],
  ['json', 'application/json'],
  ['xml', 'application/xml'],
  ['html', 'text/html'],
  ['htm', 'text/html'],
  ['css', 'text/css'],
  ['js', 'text/javascript'],
  ['ts', 'text/typescript'],
  ['go', 'text/x-go'],
  ['py', 'text/x-python'],
  ['rs', 'text/x-rust'],
  ['rb', 'text/x-ruby'],
  ['java', 'text/x-java'],
  ['c', 'text/x-c'],
  ['h', 'text/x-c'],
  ['cpp', 'text/x-c++'],
  ['hpp', 'text/x-c++'],
  ['sh', 'text/x-shellscript'],
  ['bash', 'text/x-shellscript'],
  ['sql', 'text/x-sql'],
  ['toml', 'text/x-toml'],
  ['ini', 'text/x-ini'],
  ['cfg', 'text/x-ini'],
  ['conf', 'text/x-ini'],
]);

// oxlint-disable-next-line no-control-regex -- they are what is looked for; texts have HT, LF, FF, CR and ESC
const binaryControl = /[\u0000-\u0008\u000b\u000e-\u001a\u001c-\u001f]/;

const charsetOf = (head: Uint8Array): 'utf-8' | 'utf-16le' | 'utf-16be' | undefined => {
  const marked =
    head[0] === 0xff && head[1] === 0xfe ? 'utf-16le' : head[0] === 0xfe && head[1] === 0xff ? 'utf-16be' : 'utf-8';
  return isText(head, marked) ? marked : undefined;
};

const isText = (head: Uint8Array, charset: string): boolean => {
  try {
    // As a stream: the head may end within a character.
    const text = new TextDecoder(charset, { fatal: true, ignoreBOM: false }).decode(head, { stream: true });
    return !binaryControl.test(text);
  } catch (error) {
    // What a fatal decoder answers to bytes that are none of its characters.
    if (error instanceof TypeError) return false;
    throw error;
  }
};

interface Signature {
  type: string;
  /** Latin-1: each character is a byte. */
  bytes: string;
  at?: number;
  /** A second part, for containers whose first bytes are common. */
  and?: { bytes: string; at: number };
}

/** The first that fits counts. From the formats' specifications, and WHATWG MIME Sniffing where that has the format. */
const signatures: readonly Signature[] = [
  { type: 'image/png', bytes: '\x89PNG\r\n\x1a\n' },
  { type: 'image/jpeg', bytes: '\xff\xd8\xff' },
  { type: 'image/gif', bytes: 'GIF87a' },
  { type: 'image/gif', bytes: 'GIF89a' },
  { type: 'image/webp', bytes: 'RIFF', and: { bytes: 'WEBP', at: 8 } },
  { type: 'image/bmp', bytes: 'BM', and: { bytes: '\0\0\0\0', at: 6 } },
  { type: 'image/x-icon', bytes: '\0\0\x01\0' },
  { type: 'image/tiff', bytes: 'II*\0' },
  { type: 'image/tiff', bytes: 'MM\0*' },
  { type: 'image/avif', bytes: 'ftypavif', at: 4 },
  { type: 'image/heic', bytes: 'ftypheic', at: 4 },
  { type: 'video/quicktime', bytes: 'ftypqt  ', at: 4 },
  { type: 'audio/mp4', bytes: 'ftypM4A ', at: 4 },
  { type: 'video/mp4', bytes: 'ftyp', at: 4 },
  { type: 'video/webm', bytes: '\x1aE\xdf\xa3' },
  { type: 'video/x-msvideo', bytes: 'RIFF', and: { bytes: 'AVI ', at: 8 } },
  { type: 'audio/wav', bytes: 'RIFF', and: { bytes: 'WAVE', at: 8 } },
  { type: 'audio/mpeg', bytes: 'ID3' },
  { type: 'audio/mpeg', bytes: '\xff\xfb' },
  { type: 'audio/mpeg', bytes: '\xff\xf3' },
  { type: 'audio/mpeg', bytes: '\xff\xf2' },
  { type: 'audio/ogg', bytes: 'OggS' },
  { type: 'audio/flac', bytes: 'fLaC' },
  { type: 'font/woff', bytes: 'wOFF' },
  { type: 'font/woff2', bytes: 'wOF2' },
  { type: 'font/ttf', bytes: '\0\x01\0\0\0' },
  { type: 'font/otf', bytes: 'OTTO' },
  { type: 'application/gzip', bytes: '\x1f\x8b\x08' },
  { type: 'application/x-bzip2', bytes: 'BZh', and: { bytes: '1AY&SY', at: 4 } },
  { type: 'application/x-xz', bytes: '\xfd7zXZ\0' },
  { type: 'application/zstd', bytes: '\x28\xb5\x2f\xfd' },
  { type: 'application/x-7z-compressed', bytes: "7z\xbc\xaf'\x1c" },
  { type: 'application/x-tar', bytes: 'ustar', at: 257 },
  { type: 'application/zip', bytes: 'PK\x03\x04' },
  { type: 'application/zip', bytes: 'PK\x05\x06' },
  { type: 'application/vnd.sqlite3', bytes: 'SQLite format 3\0' },
  { type: 'application/vnd.apache.parquet', bytes: 'PAR1' },
  { type: 'application/wasm', bytes: '\0asm' },
  { type: 'application/x-elf', bytes: '\x7fELF' },
  { type: 'application/x-ole-storage', bytes: '\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1' },
];

const office = 'application/vnd.openxmlformats-officedocument';

/** All of these are ZIP archives; telling them apart by content would take the whole directory of the archive. */
const zipTypes: ReadonlyMap<string, string> = new Map([
  ['docx', `${office}.wordprocessingml.document`],
  ['xlsx', `${office}.spreadsheetml.sheet`],
  ['pptx', `${office}.presentationml.presentation`],
  ['odt', 'application/vnd.oasis.opendocument.text'],
  ['ods', 'application/vnd.oasis.opendocument.spreadsheet'],
  ['odp', 'application/vnd.oasis.opendocument.presentation'],
  ['epub', 'application/epub+zip'],
  ['jar', 'application/java-archive'],
]);

const binaryTypeOf = (head: Uint8Array, name: string): string | undefined => {
  const type = signatures.find(
    ({ bytes, at, and }) => startsWith(head, bytes, at) && (!and || startsWith(head, and.bytes, and.at)),
  )?.type;
  return type === 'application/zip' ? (zipTypes.get(extensionOf(name)) ?? type) : type;
};

const startsWith = (head: Uint8Array, bytes: string, at = 0): boolean => {
  for (let index = 0; index < bytes.length; index += 1) {
    if (head[at + index] !== bytes.charCodeAt(index)) return false;
  }
  return true;
};
