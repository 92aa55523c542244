import { openJobs, persistedStates, type OpenJob, type PersistedState } from '../../db/enums.ts';
import { ServiceError } from './errors.ts';

/**
 * The one place where what a row says (its state and its open job) becomes what callers see, and back; dialects map from the public
 * state. What a runner's report does to a row is reconcile.ts.
 */
export const publicStates = ['creating', 'running', 'pausing', 'paused', 'resuming', 'ending', 'ended'] as const;
export type PublicState = (typeof publicStates)[number];

export interface StateOfRecord {
  state: PersistedState;
  openJob: OpenJob | null;
}

/** Total. Combinations that no verb writes read as what the persisted state says. */
const publicTable: Record<PersistedState, Record<OpenJob | 'none', PublicState>> = {
  creating: {
    none: 'creating',
    create: 'creating',
    kill: 'ending',
    pause: 'creating',
    resume: 'creating',
    deadline: 'creating',
    network: 'creating',
    snapshot: 'creating',
  },
  running: {
    none: 'running',
    create: 'running',
    kill: 'ending',
    pause: 'pausing',
    resume: 'running',
    deadline: 'running',
    network: 'running',
    snapshot: 'running',
  },
  paused: {
    none: 'paused',
    create: 'paused',
    kill: 'ending',
    pause: 'paused',
    resume: 'resuming',
    deadline: 'paused',
    network: 'paused',
    snapshot: 'paused',
  },
  ended: {
    none: 'ended',
    create: 'ended',
    kill: 'ended',
    pause: 'ended',
    resume: 'ended',
    deadline: 'ended',
    network: 'ended',
    snapshot: 'ended',
  },
};

export const publicStateOf = (record: StateOfRecord): PublicState =>
  publicTable[record.state][record.openJob ?? 'none'];

export const everyRecord: readonly StateOfRecord[] = persistedStates.flatMap((state) =>
  [null, ...openJobs].map((openJob) => ({ state, openJob })),
);

/** The inverse: every record that reads as `state`. */
export const recordsOf = (state: PublicState): StateOfRecord[] =>
  everyRecord.filter((record) => publicStateOf(record) === state);

export const verbs = ['pause', 'resume', 'deadline', 'network', 'snapshot', 'kill', 'metadata'] as const;
export type Verb = (typeof verbs)[number];

/**
 * In which records a verb may begin. Kill is accepted in every state and supersedes the open job; a deadline supersedes
 * another deadline only; of the rest, one lifecycle job is open at a time.
 */
export const allows = (verb: Verb, record: StateOfRecord): boolean => {
  switch (verb) {
    case 'kill':
      return record.state !== 'ended';
    case 'metadata':
      return record.state !== 'ended' && record.openJob !== 'kill';
    case 'pause':
      return record.state === 'running' && record.openJob === null;
    case 'network':
    case 'snapshot':
      return (record.state === 'running' || record.state === 'paused') && record.openJob === null;
    case 'resume':
      return record.state === 'paused' && record.openJob === null;
    case 'deadline':
      return record.state === 'running' && (record.openJob === null || record.openJob === 'deadline');
    default:
      return verb satisfies never;
  }
};

const verbWords: Record<Verb, string> = {
  pause: 'paused',
  resume: 'resumed',
  deadline: 'given another timeout',
  network: 'given other network rules',
  snapshot: 'snapshotted',
  kill: 'ended',
  metadata: 'changed',
};

/** Why the verb cannot begin, for a record that `allows` refuses. */
export const refusalOf = (verb: Verb, record: StateOfRecord): ServiceError => {
  const state = publicStateOf(record);
  if (state === 'ended' || state === 'ending') {
    return new ServiceError('sandbox_ended', `The sandbox ${state === 'ended' ? 'has ended' : 'is ending'}.`);
  }
  if ((state === 'paused' && verb === 'pause') || (state === 'running' && verb === 'resume')) {
    return new ServiceError('conflict', `The sandbox is ${state} already.`);
  }
  if (record.state === 'paused' && record.openJob === null) {
    return new ServiceError(
      'sandbox_not_running',
      `The sandbox is paused and cannot be ${verbWords[verb]}; resume it first.`,
    );
  }
  return new ServiceError('conflict', `The sandbox is ${state} and cannot be ${verbWords[verb]} now.`);
};
