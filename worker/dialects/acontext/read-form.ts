import { contentOf } from '../../api/request-bytes.ts';
import { ServiceError } from '../../core/errors.ts';
import { chunksOf, type ByteInput } from '../../core/formats/byte-source.ts';
import { multipartBounds, readMultipart, readText } from '../../core/formats/multipart.ts';
import type { Handled } from './route.ts';

/** Of a form's text, of either kind. */
const maxBytes = multipartBounds.fieldBytesMax;

const formType = /^(multipart\/form-data|application\/x-www-form-urlencoded)\s*(;|$)/i;

export const isForm = (c: Handled): boolean => formType.test(c.req.header('content-type') ?? '');

/** The fields of a form without files, which some routes of Acontext take in place of JSON. */
export const readForm = async (c: Handled): Promise<Record<string, string>> => {
  const type = c.req.header('content-type') ?? '';
  const { content: body } = contentOf(c);
  if (!/^multipart/i.test(type)) return Object.fromEntries(new URLSearchParams(await textOf(body)));
  const fields: [string, string][] = [];
  const bounds = { ...multipartBounds, fileBytesMax: maxBytes, duplicateNames: 'refused' as const };
  for await (const part of readMultipart(type, body, bounds)) fields.push([part.name, await readText(part, maxBytes)]);
  return Object.fromEntries(fields);
};

const textOf = async (body: ByteInput): Promise<string> => {
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  for await (const chunk of chunksOf(body)) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) throw new ServiceError('payload_too_large', `A form has at most ${maxBytes} bytes here.`);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
};
