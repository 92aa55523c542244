import type { z } from '@hono/zod-openapi';
import { ServiceError } from '../../core/errors.ts';
import type { Handled } from './route.ts';

/** An absent body reads as {}. Throws invalid_argument with the first field that is wrong. */
export const readJson = async <S extends z.ZodType>(c: Handled, schema: S): Promise<z.output<S>> => {
  const text = await c.req.text();
  let json: unknown = {};
  try {
    if (text !== '') json = JSON.parse(text);
  } catch {
    throw new ServiceError('invalid_argument', 'The body is not JSON.');
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const path = issue?.path.map(String).join('.') ?? '';
  throw new ServiceError('invalid_argument', `${path === '' ? 'The body' : path}: ${issue?.message ?? 'invalid'}`);
};
