import { ServiceError } from '../errors.ts';

const invalid = (message: string): ServiceError => new ServiceError('invalid_argument', `The form ${message}.`);

/** RFC 2046, 5.1.1: at most 70 of these, not ending in a space. */
const boundaryPattern = /^[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]$/;

/** Throws invalid_argument for a Content-Type that is not multipart/form-data with a boundary. */
export function boundaryOf(contentType: string | undefined): string {
  const { value, parameters } = parameterized(contentType ?? '', 'Content-Type');
  if (value !== 'multipart/form-data') {
    throw new ServiceError('invalid_argument', 'The body must be a form: Content-Type multipart/form-data.');
  }
  const boundary = parameters.get('boundary');
  if (boundary === undefined) throw invalid('has no boundary in its Content-Type');
  if (!boundaryPattern.test(boundary)) throw invalid('has a boundary that RFC 2046 does not allow');
  return boundary;
}

/** From a part's header lines. */
export function partHeaders(lines: Uint8Array): {
  name: string;
  filename: string | undefined;
  contentType: string | undefined;
} {
  const headers = headerLines(lines);
  const encoding = headers.get('content-transfer-encoding')?.toLowerCase() ?? '8bit';
  if (!['7bit', '8bit', 'binary'].includes(encoding)) {
    throw invalid(`has a part in the transfer encoding «${encoding.slice(0, 40)}», which RFC 7578 has abolished`);
  }
  const disposition = headers.get('content-disposition');
  if (disposition === undefined) throw invalid('has a part without Content-Disposition');
  const { value, parameters } = parameterized(disposition, 'Content-Disposition');
  if (value !== 'form-data') throw invalid('has a part whose Content-Disposition is not form-data');
  const name = parameters.get('name');
  if (name === undefined) throw invalid('has a part without a name');
  const extended = parameters.get('filename*');
  const filename = parameters.get('filename');
  return {
    name: browserUnescaped(name),
    filename: extended === undefined ? filename && browserUnescaped(filename) : extendedValue(extended),
    contentType: headers.get('content-type'),
  };
}

function headerLines(lines: Uint8Array): Map<string, string> {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(lines);
  } catch {
    throw invalid('has a part with headers that are not UTF-8');
  }
  const headers = new Map<string, string>();
  for (const line of text === '' ? [] : text.split('\r\n')) {
    const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*)$/s.exec(line) ?? [];
    if (name === undefined || value === undefined || /[\0\r\n]/.test(value)) {
      throw invalid('has a part with a malformed header');
    }
    const key = name.toLowerCase();
    if (headers.has(key)) throw invalid(`has a part with more than one ${name.slice(0, 40)}`);
    headers.set(key, value.trimEnd());
  }
  return headers;
}

/** One `; name=value`, where the value is a token or a quoted string. Linear: no part of it can match in two ways. */
const parameterPattern = /[ \t]*;[ \t]*(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*("(?:[^"\\]|\\[^])*"|[^"\s;]+))?/y;

function parameterized(header: string, name: string): { value: string; parameters: Map<string, string> } {
  const semicolon = header.indexOf(';');
  const value = (semicolon < 0 ? header : header.slice(0, semicolon)).trim().toLowerCase();
  const parameters = new Map<string, string>();
  let at = semicolon < 0 ? header.length : semicolon;
  const end = header.trimEnd().length;
  while (at < end) {
    parameterPattern.lastIndex = at;
    const match = parameterPattern.exec(header);
    if (match === null) throw invalid(`has a malformed ${name}`);
    at = parameterPattern.lastIndex;
    const [, key, raw] = match;
    if (key === undefined || raw === undefined) continue;
    if (parameters.has(key.toLowerCase())) throw invalid(`has a ${name} with more than one ${key.slice(0, 40)}`);
    parameters.set(key.toLowerCase(), raw.startsWith('"') ? unquoted(raw) : raw);
  }
  return { value, parameters };
}

/** Only these two are escaped by anyone; any other backslash belongs to a path from Windows. */
const unquoted = (quoted: string): string => quoted.slice(1, -1).replace(/\\(["\\])/g, '$1');

/** What browsers write for a quotation mark and for line ends (the HTML standard's multipart/form-data encoding). */
const browserUnescaped = (text: string): string =>
  text.replace(/%22|%0D|%0A/gi, (escape) => String.fromCharCode(Number.parseInt(escape.slice(1), 16)));

/** RFC 5987: charset'language'percent-encoded. */
function extendedValue(text: string): string {
  const [, charset, encoded] =
    /^(utf-8|iso-8859-1)'[^']*'((?:[!#$&+.^_`|~0-9A-Za-z-]|%[0-9A-Fa-f]{2})*)$/i.exec(text) ?? [];
  if (charset === undefined || encoded === undefined) throw invalid('has a part with a malformed filename*');
  const bytes = Uint8Array.from(encoded.match(/%..|./g) ?? [], (piece) =>
    piece.length === 1 ? piece.charCodeAt(0) : Number.parseInt(piece.slice(1), 16),
  );
  if (charset.toLowerCase() === 'iso-8859-1') return String.fromCharCode(...bytes);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw invalid('has a part with a malformed filename*');
  }
}
