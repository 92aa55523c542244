import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ByteInput } from '../../../worker/core/formats/byte-source.ts';
import type { MultipartBounds } from '../../../worker/core/formats/multipart.ts';
import { multipartBounds, readMultipart, readText } from '../../../worker/core/formats/multipart.ts';
import { byteStream, bytesOf, split } from './support/bytes.ts';

const bounds: MultipartBounds = { ...multipartBounds, fileBytesMax: 1024 * 1024, duplicateNames: 'refused' };
const type = 'multipart/form-data; boundary="--x y"';
const boundary = '--x y';

const partOf = (headers: string, body: string): string => `--${boundary}\r\n${headers}\r\n\r\n${body}\r\n`;
const named = (name: string, body: string): string => partOf(`Content-Disposition: form-data; name="${name}"`, body);
const form = (...parts: string[]): Buffer => Buffer.from(`${parts.join('')}--${boundary}--\r\n`);

async function parsed(body: ByteInput, options: Partial<MultipartBounds> = {}, contentType = type): Promise<unknown[]> {
  const parts: unknown[] = [];
  for await (const part of readMultipart(contentType, body, { ...bounds, ...options })) {
    const { name, filename, contentType: ofPart } = part;
    parts.push({ name, filename, contentType: ofPart, body: (await bytesOf(part.body)).toString('latin1') });
  }
  return parts;
}

const fileHeaders = (disposition: string): string => `Content-Disposition: form-data; name="file"; ${disposition}`;
const filenameIn = async (disposition: string): Promise<unknown> => {
  const [part] = await parsed(form(partOf(fileHeaders(disposition), '')));
  return (part as { filename: unknown }).filename;
};

/** Words that a careless parser takes for a boundary. */
const nasty = fc
  .array(
    fc.constantFrom('\r', '\n', '-', '\r\n', `\r\n--${boundary}x`, `--${boundary}--`, '\r\n--', ' ', 'a', 'ÿ', '\0'),
    { maxLength: 30 },
  )
  .map((words) => words.join(''))
  .filter((body) => !/\r\n----x y(--|[ \t]*\r\n)/.test(`${body}\r\n`));

const forms = fc.array(nasty, { maxLength: 5 }).map((bodies) => ({
  bodies,
  bytes: Buffer.from(
    [
      ...bodies.flatMap((body, index) => [
        `--${boundary}\r\n${fileHeaders('filename="é"').replace('"file"', `"f${index}"`)}\r\nContent-Type: a/b\r\n\r\n`,
        Buffer.from(body, 'latin1'),
        '\r\n',
      ]),
      `--${boundary}--`,
    ]
      .map((piece) => (typeof piece === 'string' ? Buffer.from(piece) : piece))
      .reduce((all, piece) => Buffer.concat([all, piece]), Buffer.alloc(0)),
  ),
}));

describe('a form', () => {
  it('gives its parts in order, however the bytes arrive', async () => {
    await fc.assert(
      fc.asyncProperty(forms, fc.array(fc.nat(), { maxLength: 12 }), async ({ bodies, bytes }, at) => {
        const expected = bodies.map((body, index) => ({ name: `f${index}`, filename: 'é', contentType: 'a/b', body }));
        expect(await parsed(byteStream(split(bytes, at)))).toEqual(expected);
      }),
      { numRuns: 300 },
    );
  });

  it('gives the same parts split at any one byte, and byte by byte', async () => {
    const bytes = form(named('a', 'hello'), partOf(fileHeaders('filename="t é.txt"'), '\r\n--\r\n'));
    const expected = await parsed(bytes);
    expect(expected).toMatchObject([{ body: 'hello' }, { filename: 't é.txt', body: '\r\n--\r\n' }]);
    for (let at = 1; at < bytes.length; at += 1) expect(await parsed(byteStream(split(bytes, [at])))).toEqual(expected);
    expect(await parsed(byteStream([...bytes].map((byte) => Uint8Array.of(byte))))).toEqual(expected);
  });

  it('is an error wherever it is cut', async () => {
    await fc.assert(
      fc.asyncProperty(forms, fc.nat(), async ({ bytes }, at) => {
        const whole = byteStream([bytes.subarray(0, at % bytes.length)]);
        await expect(parsed(whole)).rejects.toMatchObject({ code: 'invalid_argument' });
      }),
      { numRuns: 300 },
    );
    const bytes = form(named('a', 'hello'), named('b', ''));
    for (let at = 0; at < bytes.length - 2; at += 1) {
      await expect(parsed(bytes.subarray(0, at))).rejects.toMatchObject({
        message: 'The form is cut: its last boundary is missing.',
      });
    }
  });

  it('that is cut is an error to a reader who skips its parts', async () => {
    const skipping = async (): Promise<void> => {
      for await (const part of readMultipart(type, form(named('a', 'x'), named('b', 'y')).subarray(0, -5), bounds))
        void part;
    };
    await expect(skipping()).rejects.toMatchObject({ code: 'invalid_argument' });
  });

  it('may have a preamble, an epilogue, padding after a boundary and no part at all', async () => {
    expect(
      await parsed(
        Buffer.from(`hey\r\n--${boundary} \t\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--${boundary}--bye`),
      ),
    ).toMatchObject([{ name: 'a', body: '1' }]);
    expect(await parsed(Buffer.from(`--${boundary}--`))).toEqual([]);
  });

  it('is the one that fetch sends', async () => {
    const data = new FormData();
    data.append('meta', '{"a":1}');
    data.append('file', new Blob(['x\r\ny'], { type: 'text/plain' }), 'a "b"\r\n é.txt');
    const request = new Request('http://localhost', { method: 'POST', body: data });
    expect(await parsed(request.body ?? new Uint8Array(0), {}, request.headers.get('content-type') ?? '')).toEqual([
      { name: 'meta', filename: undefined, contentType: undefined, body: '{"a":1}' },
      { name: 'file', filename: 'a "b"\r\n é.txt', contentType: 'text/plain', body: 'x\r\ny' },
    ]);
  });

  it('is read no faster than its parts', async () => {
    let asked = 0;
    const pieces = function* (): Generator<Uint8Array> {
      yield form(partOf(fileHeaders('filename=a'), '')).subarray(0, -boundary.length - 8);
      for (; ; asked += 1) yield new Uint8Array(64 * 1024);
    };
    const parts = readMultipart(type, byteStream(pieces()), { ...bounds, fileBytesMax: 2 ** 40 });
    const { value: part } = await parts.next();
    const body = part?.body[Symbol.asyncIterator]();
    await body?.next();
    await body?.next();
    expect(asked).toBeLessThan(4);
    await parts.return();
  });

  it('that is given up is cancelled', async () => {
    let cancelled = false;
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(Uint8Array.from(form(named('a', '1'), named('b', '2')).subarray(0, 80))),
      cancel: () => {
        cancelled = true;
      },
    });
    for await (const part of readMultipart(type, body, bounds)) {
      expect(part.name).toBe('a');
      break;
    }
    expect(cancelled).toBe(true);
  });

  it('refuses to give a part that has been passed', async () => {
    const parts = readMultipart(type, form(named('a', '1'), named('b', '2')), bounds);
    const { value: first } = await parts.next();
    await parts.next();
    await expect(first?.body[Symbol.asyncIterator]().next()).rejects.toThrow('after the next one');
  });
});

describe('a file name', () => {
  it.each([
    ['filename="t é.txt"', 't é.txt'],
    ['filename=plain.txt', 'plain.txt'],
    ['filename=""', ''],
    ['filename="a%22b%0D%0Ac%20d"', 'a"b\r\nc%20d'],
    [String.raw`filename="a\"b\\c"`, String.raw`a"b\c`],
    [String.raw`filename="C:\dir\x.txt"`, String.raw`C:\dir\x.txt`],
    ['filename="a;b=c"; x=y ;', 'a;b=c'],
    [`filename="x"; filename*=UTF-8''na%C3%AFve%20%22`, 'naïve "'],
    [`filename*=iso-8859-1'en'na%EFve`, 'naïve'],
  ])('%s is %s', async (disposition, filename) => {
    expect(await filenameIn(disposition)).toBe(filename);
  });
});

describe('a bad form is refused with its reason', () => {
  it.each<[string, Buffer, Partial<MultipartBounds>, string, string]>([
    ['two of a name', form(named('a', ''), named('a', '')), {}, 'invalid_argument', 'more than one part «a»'],
    ['no name', form(partOf('Content-Disposition: form-data', '')), {}, 'invalid_argument', 'without a name'],
    ['no disposition', form(partOf('X: y', '')), {}, 'invalid_argument', 'without Content-Disposition'],
    [
      'no header',
      Buffer.from(`--${boundary}\r\n\r\nx\r\n--${boundary}--`),
      {},
      'invalid_argument',
      'without Content-Disposition',
    ],
    [
      'an attachment',
      form(partOf('Content-Disposition: attachment; name=a', '')),
      {},
      'invalid_argument',
      'not form-data',
    ],
    ['a header without a colon', form(partOf('nonsense', '')), {}, 'invalid_argument', 'malformed header'],
    [
      'an open quotation',
      form(partOf(fileHeaders('filename="x'), '')),
      {},
      'invalid_argument',
      'malformed Content-Disposition',
    ],
    [
      'base64',
      form(partOf(`${fileHeaders('filename=x')}\r\nContent-Transfer-Encoding: base64`, '')),
      {},
      'invalid_argument',
      'base64',
    ],
    [
      'a bad filename*',
      form(partOf(fileHeaders(`filename*=UTF-8''%FF`), '')),
      {},
      'invalid_argument',
      'malformed filename*',
    ],
    [
      'Latin-1 headers',
      Buffer.from(form(partOf(fileHeaders('filename="é"'), '')).toString(), 'latin1'),
      {},
      'invalid_argument',
      'not UTF-8',
    ],
    [
      '33 parts',
      form(...Array.from({ length: 33 }, (_, index) => named(`f${index}`, ''))),
      {},
      'payload_too_large',
      'more than 32 parts',
    ],
    [
      'large headers',
      form(partOf(`X: ${'y'.repeat(20_000)}`, '')),
      {},
      'payload_too_large',
      'headers of more than 16384 bytes',
    ],
    [
      'endless headers',
      Buffer.from(`--${boundary}\r\nX: ${'y'.repeat(40_000)}`),
      {},
      'payload_too_large',
      'headers of more than 16384 bytes',
    ],
    ['a large field', form(named('a', 'x'.repeat(65_537))), {}, 'payload_too_large', '«a» of more than 65536 bytes'],
    [
      'a large file',
      form(partOf(fileHeaders('filename=x'), 'x'.repeat(101))),
      { fileBytesMax: 100 },
      'payload_too_large',
      'more than 100 bytes',
    ],
    [
      'a long preamble',
      Buffer.concat([Buffer.alloc(20_000), form()]),
      {},
      'invalid_argument',
      'before its first boundary',
    ],
    [
      'a long epilogue',
      Buffer.concat([form(), Buffer.alloc(20_000)]),
      {},
      'invalid_argument',
      'after its last boundary',
    ],
  ])('%s', async (_what, body, options, code, message) => {
    await expect(parsed(body, options)).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
    await expect(parsed(byteStream(split(body, [7, 50, 90])), options)).rejects.toMatchObject({ code });
  });

  it.each([
    '',
    'application/json',
    'multipart/form-data',
    'multipart/form-data; boundary=""',
    `multipart/form-data; boundary=${'x'.repeat(71)}`,
    'multipart/form-data; boundary="a\r\n"',
    'multipart/mixed; boundary=a',
  ])('the type «%s»', async (contentType) => {
    await expect(parsed(form(), {}, contentType)).rejects.toMatchObject({ code: 'invalid_argument' });
  });
});

describe('a field', () => {
  const textOf = async (body: string | Buffer, bytesMax: number): Promise<string> => {
    const bytes = Buffer.concat([
      Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name=a\r\n\r\n`),
      Buffer.from(body),
      Buffer.from(`\r\n--${boundary}--`),
    ]);
    for await (const part of readMultipart(type, byteStream([...bytes].map((byte) => Uint8Array.of(byte))), bounds))
      return await readText(part, bytesMax);
    throw new Error('no part');
  };

  it('is read as UTF-8 within its bound', async () => {
    expect(await textOf('é€😀', 9)).toBe('é€😀');
    await expect(textOf('é€😀', 8)).rejects.toMatchObject({ code: 'payload_too_large' });
    await expect(textOf(Buffer.of(0xff), 8)).rejects.toMatchObject({ code: 'invalid_argument' });
    await expect(textOf(Buffer.of(0xc3), 8)).rejects.toMatchObject({ code: 'invalid_argument' });
  });

  it('may come twice where that is allowed', async () => {
    expect(await parsed(form(named('a', '1'), named('a', '2')), { duplicateNames: 'allowed' })).toMatchObject([
      { body: '1' },
      { body: '2' },
    ]);
  });
});
