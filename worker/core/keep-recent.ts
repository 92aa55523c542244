/** As the youngest of at most `count`; the oldest go first. */
export const keepRecent = <T>(entries: Map<string, T>, count: number, key: string, value: T): void => {
  entries.delete(key);
  for (const oldest of entries.keys()) {
    if (entries.size < count) break;
    entries.delete(oldest);
  }
  entries.set(key, value);
};
