import { parseArgs } from 'node:util';

/** The measurements, in the order in which they run. */
export const measurements = [
  'worker',
  'exec',
  'throughput',
  'stream',
  'files',
  'disks',
  'create',
  'burst',
  'e2b',
  'idle',
] as const;
export type Measurement = (typeof measurements)[number];

export interface Options {
  json: boolean;
  only: ReadonlySet<Measurement>;
}

const isMeasurement = (name: string): name is Measurement => measurements.some((known) => known === name);

/** Throws one sentence for what it doesn't know. */
export function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: { json: { type: 'boolean', default: false }, only: { type: 'string' } },
    strict: true,
  });
  const names = values.only === undefined ? [...measurements] : values.only.split(',').map((name) => name.trim());
  const only = new Set<Measurement>();
  for (const name of names) {
    if (!isMeasurement(name)) throw new Error(`--only: "${name}" is none of ${measurements.join(', ')}`);
    only.add(name);
  }
  return { json: values.json, only };
}
