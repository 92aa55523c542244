import { posix } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { metadataOfHeaders } from '../../../worker/core/files/file-metadata.ts';
import { Signer } from '../../../worker/core/keys/signer.ts';
import { sandboxToken } from '../../../worker/core/access/sandbox-tokens.ts';
import { answerEncoding, bodyEncoding } from '../../../worker/dialects/e2b/envd/files/encoding.ts';
import { signatureMatches, signatureOf } from '../../../worker/dialects/e2b/envd/files/signature.ts';
import { fileModeText } from '../../../worker/dialects/e2b/envd/filesystem/file-mode.ts';
import { expandPath } from '../../../worker/dialects/e2b/envd/path.ts';

const segment = fc.stringMatching(/^[A-Za-z0-9._ ~-]{1,12}$/);
const pathText = fc.array(segment, { minLength: 1, maxLength: 6 }).map((parts) => parts.join('/'));
const at = (path: string): string => posix.resolve('/home/user', expandPath(path));

describe('a path', () => {
  test('that is absolute stays as it is', () => {
    fc.assert(
      fc.property(pathText, (path) => {
        expect(expandPath(`/${path}`)).toBe(`/${path}`);
      }),
    );
  });

  test('of the home leads there, however it is written', () => {
    expect(['', '.', '~', '~/', './'].map(at)).toEqual(Array.from({ length: 5 }, () => '/home/user'));
    fc.assert(
      fc.property(pathText, (path) => {
        expect(at(`~/${path}`)).toBe(posix.resolve('/home/user', `./${path}`));
        expect(at(`~//${path}`)).toBe(at(`~/${path}`));
        expect(at(path.replace(/^~+/, 'x'))).toBe(at(`~/${path.replace(/^~+/, 'x')}`));
      }),
    );
  });

  test('of another user’s home, with NUL, half a character, or over 4096 bytes is refused', () => {
    for (const path of ['~root', '~root/x', '/a\0b', '/\ud800', `/${'x'.repeat(4096)}`, `/${'€'.repeat(1366)}`]) {
      expect(() => expandPath(path)).toThrow(expect.objectContaining({ code: 'invalid_argument' }));
    }
    expect(expandPath(`/${'x'.repeat(4095)}`)).toHaveLength(4096);
  });
});

describe('a mode’s text', () => {
  const mode = fc.integer({ min: 0, max: 0o7777 });

  test('is what Go writes', () => {
    const texts = [
      [{ kind: 'file', mode: 0o644 }, '-rw-r--r--'],
      [{ kind: 'directory', mode: 0o755 }, 'drwxr-xr-x'],
      [{ kind: 'directory', mode: 0o1777 }, 'dtrwxrwxrwx'],
      [{ kind: 'symlink', mode: 0o777 }, 'Lrwxrwxrwx'],
      [{ kind: 'file', mode: 0o4755 }, 'urwxr-xr-x'],
      [{ kind: 'file', mode: 0o6711 }, 'ugrwx--x--x'],
      [{ kind: 'other', special: 'character', mode: 0o666 }, 'Dcrw-rw-rw-'],
      [{ kind: 'other', special: 'block', mode: 0o660 }, 'Drw-rw----'],
      [{ kind: 'other', special: 'fifo', mode: 0o600 }, 'prw-------'],
      [{ kind: 'other', special: 'socket', mode: 0o700 }, 'Srwx------'],
    ] as const;
    for (const [entry, text] of texts) expect(fileModeText({ special: undefined, ...entry })).toBe(text);
  });

  test('tells every permission bit apart', () => {
    fc.assert(
      fc.property(mode, (bits) => {
        const text = fileModeText({ kind: 'file', special: undefined, mode: bits });
        const read = text
          .slice(-9)
          .split('')
          .reduce((sum, letter) => sum * 2 + (letter === '-' ? 0 : 1), 0);
        expect(read).toBe(bits & 0o777);
        expect(text.slice(0, -9)).toBe(
          `${bits & 0o4000 ? 'u' : ''}${bits & 0o2000 ? 'g' : ''}${bits & 0o1000 ? 't' : ''}` || '-',
        );
      }),
    );
  });
});

describe('a signature', () => {
  const request = { operation: 'read', path: 'hello.txt', username: 'user', expiresAt: undefined } as const;
  const signer = new Signer('pepper');
  const sandboxId = '00112233445546778899aabbccddeeff';

  test('is the published one', async () => {
    const signature = await signatureOf('0tQG31xiMp0IOQfaz9dcwi72L1CPo8e0', request);
    expect(signature).toBe('v1_gUtH/s9YCJWgCizjfUxuWfhFE4QSydOWEIIvfLwDr6E');
  });

  test('opens what it was made for and nothing else', async () => {
    const token = await sandboxToken(signer, 'envd', sandboxId);
    const own = await signatureOf(token, request);
    const matches = (id: string, other: object, signature = own) =>
      signatureMatches(signer, id, { ...request, ...other }, signature);
    expect(await matches(sandboxId, {})).toBe(true);
    for (const other of [{ operation: 'write' }, { path: 'hello.tx' }, { username: '' }, { expiresAt: 1 }]) {
      expect(await matches(sandboxId, other)).toBe(false);
    }
    expect(await matches('10112233445546778899aabbccddeeff', {})).toBe(false);
    await fc.assert(
      fc.asyncProperty(fc.string(), async (text) => text === own || !(await matches(sandboxId, {}, text))),
    );
    expect(await matches(sandboxId, {}, own.slice(0, -1))).toBe(false);
    expect(await matches(sandboxId, {}, `${own}=`)).toBe(false);
  });
});

describe('metadata in headers', () => {
  const key = fc.stringMatching(/^[a-z0-9!#$%&'*+.^_`|~-]{1,40}$/);
  const value = fc.stringMatching(/^[\u0020-\u007e]{0,60}$/);

  test('comes back with its keys in lower case, and other headers are none of it', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(key, value), { selector: ([name]) => name, maxLength: 10 }), (entries) => {
        const headers: [string, string][] = entries.map(([name, text]) => [`X-Metadata-${name.toUpperCase()}`, text]);
        const read = metadataOfHeaders([['content-type', 'x'], ['x-metadata-', 'no key'], ...headers]);
        expect(new Map(Object.entries(read))).toEqual(
          new Map(entries.map(([name, text]) => [name.toUpperCase().toLowerCase(), text])),
        );
      }),
    );
  });

  test('holds to its bounds to the byte', () => {
    const read = (name: string, text: string) => () => metadataOfHeaders([[`x-metadata-${name}`, text]]);
    const refused = expect.objectContaining({ code: 'invalid_argument' }) as Error;
    expect(read('k'.repeat(246), '')).not.toThrow();
    expect(read('k'.repeat(247), '')).toThrow(refused);
    expect(read('k', 'v'.repeat(4096 - 10))).not.toThrow();
    expect(read('k', 'v'.repeat(4096 - 9))).toThrow(refused);
    for (const text of ['\t', '\u007f', 'é', '\n']) expect(read('k', text)).toThrow(refused);
  });
});

describe('encodings', () => {
  test.each([
    [undefined, 'identity'],
    ['gzip', 'gzip'],
    ['GZIP;q=0.5', 'gzip'],
    ['gzip, deflate', 'identity'],
    ['gzip;q=0', 'identity'],
    ['identity, gzip', 'identity'],
    ['*', 'identity'],
    ['gzip, identity;q=0', 'gzip'],
    ['*;q=0, gzip', 'gzip'],
    ['br, *;q=0', undefined],
    ['identity;q=0', undefined],
    ['*;q=0, identity', 'identity'],
  ])('an answer to «%s» is %s', (header, encoding) => {
    expect(answerEncoding(header, false)).toBe(encoding);
  });

  test('a part is never compressed', () => {
    expect([answerEncoding('gzip', true), answerEncoding('gzip, identity;q=0', true)]).toEqual(['identity', undefined]);
  });

  test('a body is plain or gzip', () => {
    expect([undefined, '', 'identity', 'gzip', 'GZIP'].map(bodyEncoding)).toEqual([
      'identity',
      'identity',
      'identity',
      'gzip',
      'gzip',
    ]);
    expect(() => bodyEncoding('br')).toThrow(expect.objectContaining({ code: 'invalid_argument' }));
  });
});
