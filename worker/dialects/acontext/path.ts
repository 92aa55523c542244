/** Where the dialect is served. */
export const acontextPath = '/api/v1';
