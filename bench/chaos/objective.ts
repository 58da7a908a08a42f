/**
 * What the edge has to achieve in `make chaos`, whatever its peers do: who falls short is named,
 * and the run fails. Peers are shown beside it and are under no objective.
 *
 *     node bench/chaos/objective.ts bench/results/chaos.json
 */

import { readFileSync } from 'node:fs';
import type { Results } from './report.ts';

/** The objective. */
const objective = {
  /**
   * While a backend misbehaves: share of requests that are answered and not by an error, and how
   * long 99 of 100 of them take at most.
   */
  successShare: 0.999,
  p99Ms: 1_000,
  /** At five times the capacity: good answers beside those at the capacity itself. */
  goodShare: 0.8,
  /**
   * While another client floods: share of a low-rate client's requests that are answered well,
   * where clients have limits.
   */
  honestShare: 0.95,
  /** At 0.7 times the capacity: requests that are not served. */
  refusedWhenCalm: 0,
} as const;

const OURS = 'lychgate';

/**
 * One sentence for each figure of ours that is not as it has to be, of any repetition; empty when
 * the objective is met.
 */
function shortfalls(results: Results): string[] {
  const ours = results[OURS];
  if (ours === undefined) return [];
  const found: string[] = [];
  const expect = (isMet: boolean, what: string, is: string, wanted: string): void => {
    if (!isMet) found.push(`${what} is ${is}, and has to be ${wanted}`);
  };
  const cells = { ...ours.scenarios, ...ours.overload, ...(ours.calm && { calm: ours.calm }) };
  for (const [key, runs] of Object.entries(cells)) if (runs.length === 0) found.push(`${key}: there are no figures`);
  for (const [key, runs] of Object.entries(ours.scenarios)) {
    for (const { requests, errors, p99Ms } of runs) {
      const share = requests === 0 ? 0 : 1 - errors / requests;
      expect(share >= objective.successShare, `${key}: success`, percent(share, 2), `${percent(objective.successShare)} or more`);
      expect(p99Ms <= objective.p99Ms, `${key}: p99`, `${p99Ms.toFixed(0)} ms`, `${objective.p99Ms} ms or less`);
    }
  }
  for (const [kind, runs] of Object.entries(ours.overload)) {
    for (const { goodPerSecond, peakPerSecond, honestShare, honestP99Ms } of runs) {
      if (kind === 'flood') {
        const wanted = `${percent(objective.honestShare)} or more`;
        expect(honestShare >= objective.honestShare, `${kind}: low-rate client served`, percent(honestShare), wanted);
        expect(
          honestP99Ms <= objective.p99Ms,
          `${kind}: p99 of the low-rate client`,
          `${honestP99Ms.toFixed(0)} ms`,
          `${objective.p99Ms} ms or less`,
        );
        continue;
      }
      const share = peakPerSecond === 0 ? 0 : goodPerSecond / peakPerSecond;
      expect(
        share >= objective.goodShare,
        `${kind}: good answers at 5 × beside 1 ×`,
        percent(share),
        `${percent(objective.goodShare)} or more`,
      );
    }
  }
  for (const { refused, requests } of ours.calm ?? []) {
    expect(
      refused <= objective.refusedWhenCalm,
      'calm: requests that were not served',
      `${refused} of ${requests}`,
      `${objective.refusedWhenCalm}`,
    );
  }
  return found;
}

function percent(share: number, digits = 1): string {
  return `${(share * 100).toFixed(digits)} %`;
}

/** Says what is short, and whether anything is. */
export function judge(results: Results): boolean {
  const found = shortfalls(results);
  for (const line of found) console.error(`chaos: ${line}`);
  return found.length === 0;
}

if (import.meta.main) {
  const path = process.argv[2];
  if (path === undefined) {
    console.error('usage: node bench/chaos/objective.ts FILE');
    process.exit(2);
  }
  const { results } = JSON.parse(readFileSync(path, 'utf8')) as { results: Results };
  if (!judge(results)) process.exitCode = 1;
}
