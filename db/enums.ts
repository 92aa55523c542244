/** The values that rows hold. Persisted, observed and public states are mapped in worker/core/sandbox-state.ts, nowhere else. */
export const persistedStates = ['creating', 'running', 'paused', 'ended'] as const;
export type PersistedState = (typeof persistedStates)[number];

export const openJobs = ['create', 'kill', 'pause', 'resume', 'deadline', 'network', 'snapshot'] as const;
export type OpenJob = (typeof openJobs)[number];

export const scopes = ['read', 'write', 'admin'] as const;
export type Scope = (typeof scopes)[number];

/** 'created' and 'running' are read from the sandbox's own row and never written. */
export const eventKinds = [
  'created',
  'running',
  'paused',
  'resumed',
  'deadline',
  'ended',
  'metadata',
  'network',
  'snapshot',
] as const;
export type EventKind = (typeof eventKinds)[number];

/** What happens to a sandbox when its time is up. */
export const timeoutActions = ['kill', 'pause'] as const;
export type TimeoutAction = (typeof timeoutActions)[number];

/** 'making': not whole yet. 'deleted': its object goes soon. */
export const snapshotStates = ['making', 'ready', 'deleted'] as const;
export type SnapshotState = (typeof snapshotStates)[number];

/** 'fork': of one fork's children only; in no list. */
export const snapshotPurposes = ['kept', 'fork'] as const;
export type SnapshotPurpose = (typeof snapshotPurposes)[number];

export type DiskPurpose = 'disk' | 'skill';
