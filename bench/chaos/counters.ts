/**
 * What lychgate itself says it did, from its metrics: the other side of what backends and clients
 * saw.
 */

import { Metrics } from '../../test/support/metrics.ts';

/** Counts by what was counted. */
export type Counters = Readonly<Record<string, number>>;

/** Families that tell decisions, and the label that tells which. */
const families: readonly (readonly [family: string, label: string])[] = [
  ['request_failures', 'reason'],
  ['retried_failures', 'reason'],
  ['retries_denied', 'denial'],
  ['hedges', 'outcome'],
  ['events', 'event'],
];

/** Reads them as `family:label`; nothing of a proxy without an admin API that is ours. */
export async function readCounters(admin: string | undefined): Promise<Counters> {
  if (admin === undefined) return {};
  const metrics = new Metrics(await (await fetch(`${admin}/metrics`)).text());
  const counters: Record<string, number> = {};
  for (const [family, label] of families) {
    for (const [labels, value] of metrics.series(`lychgate_${family}_total`)) {
      const name = `${family}:${labels[label] ?? ''}`;
      counters[name] = (counters[name] ?? 0) + value;
    }
  }
  return counters;
}

/** What was added between two readings. */
export function grown(before: Counters, after: Counters): Counters {
  const entries = Object.entries(after).map(([name, count]) => [name, count - (before[name] ?? 0)] as const);
  return Object.fromEntries(entries.filter(([, count]) => count > 0));
}
