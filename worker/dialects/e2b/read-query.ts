import type { z } from '@hono/zod-openapi';
import { ServiceError } from '../../core/errors.ts';
import type { Handled } from './route.ts';

/** A parameter that comes more than once is an array of its values. Throws invalid_argument with the first that is wrong. */
export const readQuery = <S extends z.ZodType>(c: Handled, schema: S): z.output<S> => {
  const given = Object.entries(c.req.queries()).map(([name, values]) => [
    name,
    values.length === 1 ? values[0] : values,
  ]);
  const parsed = schema.safeParse(Object.fromEntries(given));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new ServiceError(
    'invalid_argument',
    `Invalid ${issue?.path.map(String).join('.') ?? 'query'} parameter: ${issue?.message ?? 'invalid'}`,
  );
};
