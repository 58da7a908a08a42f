/**
 * Metrics of the main thread: families whose values are read at the moment of a scrape and kept
 * nowhere.
 */

import { Counter, Gauge, type Registry } from 'prom-client';
import type { Family } from '../../observe/families.ts';

/** Takes one series' value. */
export type Put = (labels: Record<string, string>, value: number) => void;

/** Adds a counter or gauge to `registry`; `collect` says all its series anew each time. */
export function addFamily(registry: Registry, { name, help, labels, kind }: Family, collect: (put: Put) => void): void {
  const options = { name, help, labelNames: [...labels], registers: [registry] };
  if (kind === 'counter') {
    new Counter({
      ...options,
      collect() {
        this.reset();
        collect((values, value) => this.inc(values, value));
      },
    });
  } else {
    new Gauge({
      ...options,
      collect() {
        this.reset();
        collect((values, value) => this.set(values, value));
      },
    });
  }
}
