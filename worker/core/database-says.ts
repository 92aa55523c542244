/** Whether it was a trigger of the database that refused, with this word. */
export const databaseSays = (error: unknown, word: 'blob_condemned' | 'records_exceeded'): boolean => {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    // The innermost only: drizzle's own message quotes the parameters, which are the caller's.
    if (!(cause.cause instanceof Error)) return cause.message.includes(word);
  }
  return false;
};
