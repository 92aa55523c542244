import { timestampOf } from '../../../../api/timestamp.ts';
import type { Broker } from '../../../../core/ports.ts';
import { fileModeText } from './file-mode.ts';

export type FileEntry = Awaited<ReturnType<Broker['readFile']>>['head']['entry'];

/** Earlier than this a protobuf Timestamp cannot be. */
const firstMs = Date.parse('0001-01-01T00:00:00.000Z');

const fileType = {
  file: 'FILE_TYPE_FILE',
  directory: 'FILE_TYPE_DIRECTORY',
  symlink: 'FILE_TYPE_SYMLINK',
  other: 'FILE_TYPE_UNSPECIFIED',
} as const satisfies Record<FileEntry['kind'], string>;

/** As filesystem.EntryInfo. A symlink has the type and mode of what it leads to, its own permissions text, and itself as target where it leads nowhere. */
export const viewEntry = (entry: FileEntry) => {
  const isLink = entry.kind === 'symlink';
  const end = isLink ? entry.leadsTo : entry;
  return {
    name: entry.name,
    type: fileType[end?.kind ?? 'other'],
    path: entry.path,
    size: String(entry.sizeBytes),
    mode: (end?.mode ?? 0) & 0o777,
    permissions: fileModeText(entry),
    owner: entry.owner,
    group: entry.group,
    modifiedTime: timestampOf(Math.max(entry.modifiedAtMs, firstMs)),
    ...(isLink ? { symlinkTarget: entry.leadsTo?.path ?? entry.path } : {}),
    metadata: entry.metadata ?? {},
  };
};
