import { z } from 'zod';
import { ServiceError } from '../../core/errors.ts';
import { isForm, readForm } from './read-form.ts';
import type { Handled } from './route.ts';

/** Of a route whose body is `json` or `optional-json` (where an absent body reads as {}). Unknown fields are left out, as Acontext does. */
export const readJson = async <T>(c: Handled, schema: z.ZodType<T>): Promise<T> => {
  const text = await c.req.text();
  return parsed(schema, text === '' ? {} : jsonOf(text));
};

/** Of a route whose body is `json-or-form`. */
export const readJsonOrForm = async <T>(c: Handled, schema: z.ZodType<T>): Promise<T> =>
  isForm(c) ? parsed(schema, await readForm(c)) : readJson(c, schema);

/** A field that is given twice counts once, by its first value. */
export const readQuery = <T>(c: Handled, schema: z.ZodType<T>): T => parsed(schema, c.req.query());

const jsonOf = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ServiceError('invalid_argument', 'The body is not valid JSON.', { cause: error });
  }
};

const parsed = <T>(schema: z.ZodType<T>, input: unknown): T => {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const issues = result.error.issues
    .slice(0, 20)
    .map((issue) => ({ path: issue.path.map(String).join('.'), message: issue.message }));
  throw new ServiceError('invalid_argument', 'parameter error', { issues });
};

/** A boolean in a query, as the SDKs write it. */
export const flag = z.enum(['true', 'false']).transform((text) => text === 'true');

/** Of Acontext's lists: 20 a page, oldest first. An empty cursor is none. */
export const pageQuery = z.object({
  limit: z.coerce.number().int().min(1).max(200).default(20),
  cursor: z
    .string()
    .max(512)
    .optional()
    .transform((cursor) => (cursor === '' ? undefined : cursor)),
  time_desc: flag.default(false),
});
