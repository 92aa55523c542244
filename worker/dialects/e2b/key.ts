import { bodyOfKey } from '../../core/keys/key-format.ts';

/** The same key under E2B's prefix. */
export const toE2bKey = (key: string): string => `e2b_${bodyOfKey(key) ?? ''}`;
