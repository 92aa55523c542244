import { zipBounds } from '../formats/zip-read.ts';

export const skillLimits = {
  /** Of the zip that is sent. */
  zipBytes: 50 * 1024 * 1024,
  filesCount: zipBounds.filesMax,
  /** Of all its files together. */
  contentBytes: zipBounds.contentBytesMax,
} as const;
