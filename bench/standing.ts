/**
 * What decisions and completions ask of the standing of backends: nanoseconds of CPU time a call,
 * the best of several runs.
 */

import type { Observer } from '../src/lane/observer.ts';
import { Standing } from '../src/lane/standing/standing.ts';
import { createStandingTable } from '../src/lane/standing/table.ts';
import { NONE } from '../src/record/layout.ts';
import { sampleSnapshot, type UpstreamWish } from '../test/support/snapshots.ts';

const CALLS = 10_000_000;
const RUNS = 5;
const BACKENDS = 10;

const CASES: Record<string, UpstreamWish> = {
  'in a row': {},
  'in a row, rate': { breaker: { rate: 0.5 } },
  'in a row, rate, outliers': { breaker: { rate: 0.5 }, outlier: { isOn: true } },
};

for (const [name, wish] of Object.entries(CASES)) {
  const backends = Array.from({ length: BACKENDS }, () => ({}));
  const snapshot = sampleSnapshot({ upstreams: [{ ...wish, backends }] });
  const observer = { noted: () => {} } as unknown as Observer;
  const standing = new Standing({ snapshot, table: createStandingTable(snapshot), observer });
  standing.begin(1_700_000_000_000);
  let sink = 0;
  const nothing = measure((slot) => {
    sink += slot;
  });
  const costs = {
    admits: measure((slot) => {
      sink += standing.admits(slot) ? 1 : 0;
    }),
    attempted: measure((slot) => {
      sink += standing.attempted(slot) ? 1 : 0;
    }),
    share: measure((slot) => {
      sink += standing.share(slot);
    }),
    responded: measure((slot) => {
      standing.responded(slot, 200, NONE, NONE, false);
    }),
  };
  const shown = Object.entries(costs).map(([call, ns]) => `${call} ${(ns - nothing).toFixed(1)}`);
  process.stdout.write(`${name.padEnd(26)} ${shown.join('  ')} ns\n`);
  if (sink === -1) process.stdout.write('');
}

function measure(call: (slot: number) => void): number {
  let bestNs = Number.POSITIVE_INFINITY;
  for (let run = 0; run < RUNS; run++) {
    const before = process.cpuUsage();
    for (let i = 0; i < CALLS; i++) call(i % BACKENDS);
    const { user, system } = process.cpuUsage(before);
    bestNs = Math.min(bestNs, ((user + system) * 1_000) / CALLS);
  }
  return bestNs;
}
