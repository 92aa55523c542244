/** Pure: what becomes of measured values. */

export interface Summary {
  p50: number;
  p95: number;
  p99: number;
}

/** The smallest value that at least `percent` of all values do not exceed (nearest rank). Throws where there are no values. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const rank = Math.max(1, Math.ceil((percent / 100) * sorted.length));
  const value = sorted[rank - 1];
  if (value === undefined) throw new Error('there is no percentile of nothing');
  return value;
}

export function summarize(values: readonly number[]): Summary {
  return {
    p50: round(percentile(values, 50)),
    p95: round(percentile(values, 95)),
    p99: round(percentile(values, 99)),
  };
}

export const median = (values: readonly number[]): number => percentile(values, 50);

/** Three significant digits, but whole numbers stay whole: 0.123, 12.3, 1234. */
export function round(value: number): number {
  if (!Number.isFinite(value)) throw new Error(`${value} is no measurement`);
  return Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3));
}

/** Decimal megabytes per second. */
export const megabytesPerSecond = (bytes: number, elapsedMs: number): number => bytes / 1e6 / (elapsedMs / 1000);

export const toMiB = (bytes: number): number => bytes / (1024 * 1024);
