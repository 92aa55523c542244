const suffixes = { new: '.new', replacing: '.part' } as const;
export type Staging = keyof typeof suffixes;

/** Of the file that a write goes to before it takes its target's place; it says whether there was one before. */
export const stagedName = (staging: Staging): string => `.glovebox-${crypto.randomUUID()}${suffixes[staging]}`;

const pattern = /^\.glovebox-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(\.new|\.part)$/;

/** undefined: not such a file. */
export function stagingOf(name: string): Staging | undefined {
  const suffix = pattern.exec(name)?.[1];
  if (suffix === undefined) return undefined;
  return suffix === suffixes.new ? 'new' : 'replacing';
}
