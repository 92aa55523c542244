/** What a plain file name may hold between its quotes without a client reading more into it: no quote, no backslash, no percent sign. */
const special = /[^\u0020-\u007e]|["\\%]/gu;

const extValue = (name: string): string =>
  encodeURIComponent(name.toWellFormed()).replaceAll(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );

/** The header that saves instead of showing, under any name at all: plain for old clients, and whole as RFC 8187 writes it. */
export const attachmentNamed = (name: string): string => `attachment; ${named(name)}`;

/** The same for one that shows. */
export const inlineNamed = (name: string): string =>
  /^[!#$&+.^_`|~0-9A-Za-z-]+$/.test(name) ? `inline; filename=${name}` : `inline; ${named(name)}`;

const named = (name: string): string =>
  `filename="${name.toWellFormed().replaceAll(special, '_')}"; filename*=UTF-8''${extValue(name)}`;
