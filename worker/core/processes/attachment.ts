import { limits } from '../../../runner/protocol/limits.ts';
import type { Attachment } from '../../../runner/protocol/process.ts';

/** All output from an offset on. The process waits for this reader (back-pressure), for as long as the reader keeps reading. */
export const foregroundReader = (fromOffset: Attachment['fromOffset']): Attachment => ({
  fromOffset,
  creditBytes: limits.channelCreditBytes,
  foreground: true,
  output: true,
});

/** Only wants to know how it ends. */
export const exitReader: Attachment = { fromOffset: 0, creditBytes: 0, foreground: false, output: false };
