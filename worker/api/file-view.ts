import type { Broker, StreamEvent } from '../core/ports.ts';
import { timestampOf } from './timestamp.ts';

type WatchEvent = Extract<StreamEvent, { t: 'watch' }>['events'][number];
type FileInfo = Awaited<ReturnType<Broker['readFile']>>['head']['entry'];

export const entryView = (entry: FileInfo) => ({
  name: entry.name,
  path: entry.path,
  kind: entry.kind,
  special: entry.special ?? null,
  sizeBytes: entry.sizeBytes,
  mode: octal(entry.mode),
  uid: entry.uid,
  gid: entry.gid,
  owner: entry.owner,
  group: entry.group,
  modifiedAt: timestampOf(entry.modifiedAtMs),
  symlinkTarget: entry.symlinkTarget ?? null,
  leadsTo: entry.leadsTo === undefined ? null : { ...entry.leadsTo, mode: octal(entry.leadsTo.mode) },
  metadata: entry.metadata ?? {},
});

const octal = (mode: number): string => mode.toString(8).padStart(4, '0');

export const changeView = ({ kind, path, entry }: WatchEvent) => ({
  kind,
  path,
  ...(entry === undefined ? {} : { entry: entryView(entry) }),
});

/** Changes when a file's bytes do: size and time of modification, as far as file systems tell. */
export const etagOf = (entry: FileInfo): string =>
  `"${entry.sizeBytes.toString(16)}-${Math.round(entry.modifiedAtMs * 1000).toString(16)}"`;
