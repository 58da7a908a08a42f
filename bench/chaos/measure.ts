/** From arrivals at backends and answers at the client to the figures of the table. Pure. */

import type { LoadResult, Sample } from './load.ts';

/** What was seen while a scenario was played. */
export interface Observation {
  /**
   * When the backend went bad, when it was well again, when the load ended; milliseconds since the
   * epoch.
   */
  readonly badMs: number;
  readonly healedMs: number;
  readonly endMs: number;
  /** Arrivals at each backend; the first is the bad one. */
  readonly arrivals: readonly (readonly number[])[];
  readonly load: LoadResult;
}

/** One cell row of the table. */
export interface Figures {
  readonly requests: number;
  /** Answers of status 500 and above, resets, and requests never answered, from the fault on. */
  readonly errors: number;
  /** The same by kind: a status, `reset`, `unanswered`. */
  readonly errorsBy: Readonly<Record<string, number>>;
  /** Share of what arrived at all backends during the fault that arrived at the bad one. */
  readonly keptShare: number;
  /** Arrivals at backends for each request of a client during the fault. */
  readonly attemptsPerRequest: number;
  /** Of requests sent during the fault. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /**
   * Requests sent during the fault that took longer than `LATE_MS`: those that a bad backend held
   * up, however few.
   */
  readonly late: number;
  /**
   * From the fault until the bad backend has less than a tenth for a second; null when it never
   * comes to that.
   */
  readonly calmAfterMs: number | null;
  /**
   * From healing until it has most of its fair share again for a second; null when it never comes
   * to that.
   */
  readonly backAfterMs: number | null;
}

/** Far beyond what a healthy backend takes, well below what a slow one does. */
export const LATE_MS = 500;
const CALM_SHARE = 0.1;
/** How much of its fair share a backend must have again to count as back. */
const BACK_PART = 0.7;
const WINDOW_MS = 1_000;
const STEP_MS = 100;

/** The figures of one scenario. */
export function measure(seen: Observation): Figures {
  const { badMs, healedMs, endMs, arrivals, load } = seen;
  const during = load.samples.filter(({ startMs }) => startMs >= badMs && startMs < healedMs);
  const errorsBy: Record<string, number> = {};
  for (const sample of load.samples) if (sample.startMs >= badMs && isError(sample)) add(errorsBy, nameOf(sample), 1);
  const unanswered = load.planned - load.samples.length;
  if (unanswered > 0) add(errorsBy, 'unanswered', unanswered);
  const durations = during.map(({ durationMs }) => durationMs).sort((a, b) => a - b);
  const total = arrivals.reduce((sum, times) => sum + within(times, badMs, healedMs), 0);
  const bad = arrivals[0] ?? [];
  const fair = 1 / arrivals.length;
  return {
    requests: load.planned,
    errors: Object.values(errorsBy).reduce((sum, count) => sum + count, 0),
    errorsBy,
    keptShare: total === 0 ? 0 : within(bad, badMs, healedMs) / total,
    attemptsPerRequest: during.length === 0 ? 0 : total / during.length,
    p50Ms: quantile(durations, 0.5),
    p99Ms: quantile(durations, 0.99),
    late: durations.filter((duration) => duration > LATE_MS).length,
    calmAfterMs: firstWindow(arrivals, badMs, healedMs, (share) => share < CALM_SHARE),
    backAfterMs: firstWindow(arrivals, healedMs, endMs, (share) => share >= BACK_PART * fair),
  };
}

/** Of sorted values; 0 of none. */
export function quantile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}

/**
 * Whether the client was let down. A refusal for overload counts too: it is an answer nobody asked
 * for.
 */
function isError({ status }: Sample): boolean {
  return status === 0 || status >= 500;
}

/**
 * Milliseconds from `from` to the first window in which the first backend's share is as wanted;
 * null when there is none up to `to`.
 */
function firstWindow(
  arrivals: readonly (readonly number[])[],
  from: number,
  to: number,
  isWanted: (share: number) => boolean,
): number | null {
  for (let start = from; start + WINDOW_MS <= to; start += STEP_MS) {
    const counts = arrivals.map((times) => within(times, start, start + WINDOW_MS));
    const total = counts.reduce((sum, count) => sum + count, 0);
    if (total > 0 && isWanted((counts[0] ?? 0) / total)) return start - from;
  }
  return null;
}

function within(times: readonly number[], from: number, to: number): number {
  let count = 0;
  for (const time of times) if (time >= from && time < to) count += 1;
  return count;
}

function nameOf({ status }: Sample): string {
  return status === 0 ? 'reset' : String(status);
}

function add(counts: Record<string, number>, name: string, count: number): void {
  counts[name] = (counts[name] ?? 0) + count;
}
