import type { ProcessInfo, ProcessSelector } from './process.ts';

type Named = Pick<ProcessInfo, 'processId'> & { pid?: number | undefined; tag?: string | undefined };

export const isMeant = (process: Named, selector: ProcessSelector): boolean => {
  if ('processId' in selector) return process.processId === selector.processId;
  return 'pid' in selector ? process.pid === selector.pid : process.tag === selector.tag;
};

/** Of those that run the youngest, or else the one that ended last. `processes` are in the order of their starts. */
export const chooseProcess = (
  processes: readonly ProcessInfo[],
  selector: ProcessSelector,
): ProcessInfo | undefined => {
  const meant = processes.filter((process) => isMeant(process, selector));
  const ended = meant.toSorted((a, b) => endedAtMs(a) - endedAtMs(b));
  return meant.findLast((process) => process.exit === null) ?? ended.at(-1);
};

const endedAtMs = ({ startedAtMs, exit }: ProcessInfo): number => startedAtMs + (exit?.durationMs ?? 0);
