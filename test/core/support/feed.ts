import type { Feed } from '../../../worker/core/feed.ts';

/** Of these items, one after the other; then it fails, where `failure` is given, or ends. */
export const feedOf = <T>(items: readonly T[], failure?: Error): Feed<T> & { cancelled: boolean } => {
  const left = [...items];
  const feed = {
    cancelled: false,
    next: async () => {
      const item = left.shift();
      if (item === undefined && failure) throw failure;
      return item;
    },
    cancel: async () => {
      feed.cancelled = true;
    },
  };
  return feed;
};
