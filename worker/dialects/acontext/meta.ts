import { z } from 'zod';
import { ServiceError } from '../../core/errors.ts';
import { infoKey } from './artifact-view.ts';

const maxBytes = 16 * 1024;

const metaObject = z.record(z.string(), z.unknown());

/** `meta` travels as text: the JSON of an object. */
export const parseMeta = (text: string): Record<string, unknown> => {
  if (new TextEncoder().encode(text).length > maxBytes) {
    throw new ServiceError('invalid_argument', `meta is at most ${maxBytes} bytes of JSON`);
  }
  const meta = metaObject.safeParse(jsonOf(text));
  if (!meta.success) throw new ServiceError('invalid_argument', 'invalid meta JSON format', { cause: meta.error });
  if (Object.hasOwn(meta.data, infoKey)) {
    throw new ServiceError('invalid_argument', `reserved key '${infoKey}' is not allowed in user meta`);
  }
  return meta.data;
};

/** Undefined, which no schema takes, for what is not JSON. */
const jsonOf = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};
