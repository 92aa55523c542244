/** For the log. A failed query's own message lists its parameters, which are tenants' data: only what the database said is told. */
export const describeCause = (cause: unknown): string => {
  if (!(cause instanceof Error)) return typeof cause === 'string' ? cause : (JSON.stringify(cause) ?? 'undefined');
  const inner = cause.cause === undefined ? '' : describeCause(cause.cause);
  if (cause.message.startsWith('Failed query:')) return `a query failed: ${inner}`;
  return `${cause.stack ?? cause.message}${inner === '' ? '' : `\ncaused by ${inner}`}`;
};
