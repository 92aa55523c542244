import type { Handled } from './route.ts';

/** What E2B's proxy says for a sandbox that cannot be reached: the SDKs tell from a 502 that it is gone. */
export const sandboxGone = (c: Handled, sandboxId: string): Response =>
  c.json({ sandboxId, message: 'The sandbox was not found', code: 502 }, 502);
