import { Buffer } from 'node:buffer';
import { gzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  contentTypeHeadBytes,
  essenceOf,
  extensionOf,
  isGreppable,
  sniffContentType,
} from '../../../worker/core/artifacts/content-type.ts';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const latin1 = (text: string): Uint8Array => Buffer.from(text, 'latin1');

test.each([
  ['a.md', 'text/markdown'],
  ['a.yaml', 'text/yaml'],
  ['a.yml', 'text/yaml'],
  ['a.csv', 'text/csv'],
  ['a.json', 'application/json'],
  ['a.xml', 'application/xml'],
  ['a.html', 'text/html'],
  ['a.HTM', 'text/html'],
  ['a.css', 'text/css'],
  ['a.js', 'text/javascript'],
  ['a.ts', 'text/typescript'],
  ['a.go', 'text/x-go'],
  ['a.py', 'text/x-python'],
  ['a.rs', 'text/x-rust'],
  ['a.rb', 'text/x-ruby'],
  ['a.java', 'text/x-java'],
  ['a.c', 'text/x-c'],
  ['a.h', 'text/x-c'],
  ['a.cpp', 'text/x-c++'],
  ['a.hpp', 'text/x-c++'],
  ['a.sh', 'text/x-shellscript'],
  ['a.bash', 'text/x-shellscript'],
  ['a.sql', 'text/x-sql'],
  ['a.toml', 'text/x-toml'],
  ['a.ini', 'text/x-ini'],
  ['a.cfg', 'text/x-ini'],
  ['a.conf', 'text/x-ini'],
  ['a.txt', 'text/plain'],
  ['Makefile', 'text/plain'],
  ['a.constructor', 'text/plain'],
  ['a.md.png', 'text/plain'],
])('text named %s is %s, empty or not', (name, type) => {
  expect(sniffContentType(utf8('héllo\r\n\tworld\u001b[0m'), name)).toBe(`${type}; charset=utf-8`);
  expect(sniffContentType(new Uint8Array(), name)).toBe(`${type}; charset=utf-8`);
});

test('a text is one wherever the head cuts it', () => {
  const bytes = utf8('aé€😀'.repeat(2000));
  for (let cut = contentTypeHeadBytes - 12; cut <= contentTypeHeadBytes; cut += 1) {
    expect(sniffContentType(bytes.subarray(0, cut), 'a.py')).toBe('text/x-python; charset=utf-8');
  }
});

test('every text without control characters is a text, and binary bytes never are', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.constantFrom(0, 1, 8, 11, 14, 26, 28, 31), (text, control) => {
      fc.pre(!text.startsWith('%PDF-'));
      expect(sniffContentType(utf8(text), 'a')).toBe('text/plain; charset=utf-8');
      expect(sniffContentType(utf8(`a${text}${String.fromCharCode(control)}`), 'a.py')).not.toMatch(/^text/);
      expect(sniffContentType(latin1('a\xff'), 'a.py')).not.toMatch(/^text/);
    }),
  );
});

test('UTF-16 is told by its byte order mark, and only by that', () => {
  expect(sniffContentType(Buffer.from('\ufeffhé', 'utf16le'), 'a.md')).toBe('text/markdown; charset=utf-16le');
  expect(sniffContentType(Buffer.from('\ufeffhé', 'utf16le').swap16(), 'a')).toBe('text/plain; charset=utf-16be');
  expect(sniffContentType(Buffer.from('hé', 'utf16le'), 'a.md')).toBe('application/octet-stream');
  expect(sniffContentType(utf8('\ufeffa,b'), 'a.csv')).toBe('text/csv; charset=utf-8');
});

const tar = Buffer.alloc(512);
tar.write('a.txt', 0);
tar.write('ustar', 257);

test.each([
  ['image/png', latin1('\x89PNG\r\n\x1a\n\0\0\0\rIHDR')],
  ['image/jpeg', latin1('\xff\xd8\xff\xe0\0\x10JFIF')],
  ['image/gif', latin1('GIF89a\x01\0\x01\0\0\0\0')],
  ['image/webp', latin1('RIFF\x24\0\0\0WEBPVP8 ')],
  ['image/bmp', latin1('BM\x46\0\0\0\0\0\0\0\x36\0\0\0')],
  ['image/x-icon', latin1('\0\0\x01\0\x01\0')],
  ['application/pdf', latin1('%PDF-1.7\n%\xe2\xe3\xcf\xd3')],
  ['application/pdf', latin1('%PDF-1.4\nplain')],
  ['application/zip', latin1('PK\x03\x04\x14\0')],
  ['application/gzip', gzipSync('hello')],
  ['application/x-tar', tar],
  ['application/x-elf', latin1('\x7fELF\x02\x01\x01\0')],
  ['application/wasm', latin1('\0asm\x01\0\0\0')],
  ['audio/mpeg', latin1('ID3\x04\0\0')],
  ['audio/mpeg', latin1('\xff\xfb\x90\0')],
  ['audio/wav', latin1('RIFF\x24\0\0\0WAVEfmt ')],
  ['video/mp4', latin1('\0\0\0\x20ftypisom\0\0\x02\0')],
  ['application/vnd.sqlite3', latin1('SQLite format 3\0\x10\0')],
  ['application/octet-stream', latin1('\0\x01\x02\x03')],
])('%s is known by its first bytes, whatever its name', (type, bytes) => {
  expect(sniffContentType(bytes, 'a.txt')).toBe(type);
  expect(isGreppable(type)).toBe(false);
});

test('a ZIP archive is what its name says, and a text is no archive for its name', () => {
  const zip = latin1('PK\x03\x04\x14\0');
  expect(sniffContentType(zip, 'a.docx')).toMatch(/wordprocessingml\.document$/);
  expect(sniffContentType(zip, 'A.XLSX')).toMatch(/spreadsheetml\.sheet$/);
  expect(sniffContentType(zip, 'a.pptx')).toMatch(/presentationml\.presentation$/);
  expect(sniffContentType(utf8('hello'), 'a.docx')).toBe('text/plain; charset=utf-8');
});

test('what begins as a format does in text is text', () => {
  for (const text of ['GIF89a is a format', 'BM', 'ID3 tags', 'RIFFxxxxWAVE', 'PAR1', 'OTTO'])
    expect(sniffContentType(utf8(text), 'a.md')).toBe('text/markdown; charset=utf-8');
});

test.each([
  ['text/plain; charset=utf-8', true],
  ['TEXT/X-Python', true],
  ['application/json; charset=utf-8', true],
  ['application/json', true],
  ['application/x-yaml', true],
  ['application/jsonl', false],
  ['application/xml', false],
  ['application/octet-stream', false],
  ['application/x-tar', false],
  ['image/png', false],
  ['', false],
])('grep looks into %j: %j', (type, greppable) => {
  expect(isGreppable(type)).toBe(greppable);
});

test('parameters and case are no part of a type, nor case of an extension', () => {
  expect(essenceOf(' Text/CSV ; header=present')).toBe('text/csv');
  expect([extensionOf('a.tar.GZ'), extensionOf('.py'), extensionOf('Makefile'), extensionOf('a.')]).toEqual([
    'gz',
    'py',
    '',
    '',
  ]);
});
