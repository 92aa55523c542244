import { z } from '@hono/zod-openapi';

/** RFC 3339, UTC, milliseconds. */
export const timestamp = z.iso.datetime().openapi({ example: '2026-11-20T09:30:00.000Z' });

/** Any string gets as far as the lookup, so that a malformed id is answered as a missing one: 404. */
export const sandboxParams = z.object({
  sandboxId: z
    .string()
    .min(1)
    .max(256)
    .openapi({ param: { name: 'sandboxId', in: 'path' }, example: '00a1b2c3d4e54f60a7b8c9d0e1f2a3b4' }),
});

/** Answered like sandboxParams. */
export const diskParams = z.object({
  diskId: z
    .string()
    .min(1)
    .max(256)
    .openapi({ param: { name: 'diskId', in: 'path' }, example: 'a1b2c3d4e5f640718293a4b5c6d7e8f9' }),
});

export const errorBody = z
  .object({
    error: z.object({
      code: z.string().openapi({ example: 'not_found', description: 'Stable; for programs.' }),
      message: z.string().openapi({ description: 'One sentence; for people.' }),
      requestId: z
        .string()
        .openapi({ description: 'Also the x-request-id header; identifies the request in the logs.' }),
      issues: z
        .array(z.object({ path: z.string(), message: z.string() }))
        .optional()
        .openapi({ description: 'Which fields of the request are wrong.' }),
    }),
  })
  .openapi('Error');

const meanings = {
  400: 'The request is malformed or a value is out of its bounds.',
  401: 'No API key, or one that is unknown, revoked or expired.',
  403: 'The API key lacks the scope.',
  404: 'There is no such thing for this tenant.',
  409: 'The state of the sandbox, or what is there already, does not allow this now.',
  410: 'The sandbox has ended.',
  412: 'A precondition does not hold.',
  413: 'The body or file is larger than allowed.',
  416: 'The range lies outside of the file.',
  422: 'The Idempotency-Key was used with another body.',
  429: 'Too many requests, or the tenant is at its limit. Retry-After says when to try again.',
  501: 'This deployment is not set up for it.',
  502: 'The runner was lost, or the answer was cut.',
  503: 'Nothing was done; Retry-After says when to try again.',
  504: 'The deadline passed.',
  507: 'The disk of the sandbox is full.',
} as const;

type ErrorStatus = keyof typeof meanings;
type ErrorResponse = { description: string; content: { 'application/json': { schema: typeof errorBody } } };

/** The error responses of a route: 400, 401, 403, 429 and 503 are on each one. */
export const errorResponses = (more: readonly ErrorStatus[] = []): Record<ErrorStatus, ErrorResponse> => {
  const statuses = [...new Set<ErrorStatus>([400, 401, 403, 429, 503, ...more])].sort((a, b) => a - b);
  const responses = statuses.map((status) => [
    status,
    { description: meanings[status], content: { 'application/json': { schema: errorBody } } },
  ]);
  return Object.fromEntries(responses) as Record<ErrorStatus, ErrorResponse>;
};

export const jsonContent = <T extends z.ZodType>(schema: T) => ({ content: { 'application/json': { schema } } });

/** A request body in JSON. The app refuses other content types and bodies over its bound before this is looked at. */
export const jsonBody = <T extends z.ZodType>(schema: T) => ({
  required: true as const,
  content: { 'application/json': { schema } },
});
export const optionalJsonBody = <T extends z.ZodType>(schema: T) => ({
  required: false as const,
  content: { 'application/json': { schema } },
});

/** A tenant's key is what the document asks for everywhere else. */
export const noSecurity = [];
export const adminSecurity = [{ admin: [] }];

export const cursorQuery = {
  cursor: z.string().max(512).optional().openapi({ description: 'nextCursor of the page before.' }),
  limit: z.coerce.number().int().min(1).max(100).default(50),
};
/** Of lists that may be long. */
export const listQuery = {
  cursor: cursorQuery.cursor,
  limit: z.coerce.number().int().min(1).max(200, 'limit is at most 200').default(50),
};
export const listOrder = z
  .enum(['asc', 'desc'])
  .default('desc')
  .openapi({ description: '`desc`: newest first, `asc`: oldest first.' });
export const nextCursor = z.string().nullable().openapi({ description: 'null on the last page.' });
