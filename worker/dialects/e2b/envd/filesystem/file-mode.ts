import type { FileEntry } from './entry.ts';

type Kind = Pick<FileEntry, 'kind' | 'special' | 'mode'>;

/** The letter of each type, as Go's io/fs FileMode has it; a character device is a device with a letter more. */
const typeLetter = (entry: Kind): string => {
  if (entry.kind === 'directory') return 'd';
  if (entry.kind === 'symlink') return 'L';
  if (entry.kind === 'file') return '';
  switch (entry.special) {
    case 'block':
    case 'character':
      return 'D';
    case 'fifo':
      return 'p';
    case 'socket':
      return 'S';
    case undefined:
      return '?';
    default:
      return entry.special satisfies never;
  }
};

const flag = (mode: number, bit: number, letter: string): string => ((mode & bit) === 0 ? '' : letter);

/** As Go's FileMode.String() writes it: `-rw-r--r--`, `drwxr-xr-x`, `dtrwxrwxrwx`, `Lrwxrwxrwx`, `urwxr-xr-x`. */
export const fileModeText = (entry: Kind): string => {
  const { mode } = entry;
  const flags = [
    typeLetter(entry),
    flag(mode, 0o4000, 'u'),
    flag(mode, 0o2000, 'g'),
    entry.special === 'character' ? 'c' : '',
    flag(mode, 0o1000, 't'),
  ].join('');
  const permissions = 'rwxrwxrwx'.split('').map((letter, at) => ((mode & (0o400 >> at)) === 0 ? '-' : letter));
  return `${flags === '' ? '-' : flags}${permissions.join('')}`;
};
