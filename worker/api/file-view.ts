import type { Broker } from '../core/ports.ts';
import { timestampOf } from './timestamp.ts';

type FileInfo = Awaited<ReturnType<Broker['readFile']>>['head']['entry'];

export const entryView = (entry: FileInfo) => ({
  name: entry.name,
  path: entry.path,
  kind: entry.kind,
  sizeBytes: entry.sizeBytes,
  mode: entry.mode.toString(8).padStart(4, '0'),
  uid: entry.uid,
  gid: entry.gid,
  owner: entry.owner,
  group: entry.group,
  modifiedAt: timestampOf(entry.modifiedAtMs),
  symlinkTarget: entry.symlinkTarget ?? null,
});

/** Changes when a file's bytes do: size and time of modification, as far as file systems tell. */
export const etagOf = (entry: FileInfo): string =>
  `"${entry.sizeBytes.toString(16)}-${Math.round(entry.modifiedAtMs * 1000).toString(16)}"`;
