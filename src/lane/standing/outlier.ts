/**
 * Outlier detection: ejects backends whose success rate is far below that of the others of their
 * upstream. A backend that fails 5 % of its requests never opens a breaker, but is clearly faulty
 * if its twenty siblings fail none. The first shard to see an interval end compares the rates.
 */

import type { Breakers } from './breaker.ts';
import { BACKEND_WORDS, COMPARED_WORD, INTERVAL_OUTCOMES_WORD, INTERVAL_SUCCESSES_WORD, LAST_REASON_WORD, upstreamWord } from './table.ts';
import type { StandingTerms } from './terms.ts';

export class Outliers {
  private readonly words: Int32Array;
  private readonly backendCount: number;
  private readonly breakers: Breakers;

  constructor(table: SharedArrayBuffer, backendCount: number, breakers: Breakers) {
    this.words = new Int32Array(table);
    this.backendCount = backendCount;
    this.breakers = breakers;
  }

  /** Counts an outcome of `slot`; only for upstreams with outlier detection. */
  count(slot: number, isSuccess: boolean): void {
    const at = slot * BACKEND_WORDS;
    Atomics.add(this.words, at + INTERVAL_OUTCOMES_WORD, 1);
    if (isSuccess) Atomics.add(this.words, at + INTERVAL_SUCCESSES_WORD, 1);
  }

  /**
   * Compares the rates if an interval has ended and no other shard did so. The first interval of a
   * table only starts the count.
   */
  look(terms: StandingTerms, nowMs: number): void {
    if (!terms.outlier.isOn) return;
    const interval = (Math.floor(nowMs / terms.outlier.intervalMs) % 0x4000_0000) + 1;
    const word = upstreamWord(this.backendCount, terms.upstream) + COMPARED_WORD;
    const known = Atomics.load(this.words, word);
    // A shard whose clock is slightly behind must not start the last interval again.
    if (known === interval || known === interval + 1) return;
    if (Atomics.compareExchange(this.words, word, known, interval) === known) this.compare(terms, known !== 0);
  }

  private compare(terms: StandingTerms, mayEject: boolean): void {
    const { slots, outlier } = terms;
    const outcomes = new Float64Array(slots.length);
    const rates = new Float64Array(slots.length).fill(Number.NaN);
    for (let i = 0; i < slots.length; i++) {
      const at = slots[i]! * BACKEND_WORDS;
      outcomes[i] = Atomics.exchange(this.words, at + INTERVAL_OUTCOMES_WORD, 0);
      const successes = Math.min(outcomes[i]!, Atomics.exchange(this.words, at + INTERVAL_SUCCESSES_WORD, 0));
      if (outcomes[i]! >= Math.max(1, outlier.minRequests)) rates[i] = successes / outcomes[i]!;
    }
    if (!mayEject) return;
    for (const i of findOutliers(rates, outcomes, outlier.minBackends, outlier.deviations)) {
      const slot = slots[i]!;
      this.breakers.eject(terms, slot, true, this.words[slot * BACKEND_WORDS + LAST_REASON_WORD]!);
    }
  }
}

/**
 * Indices of the rates below mean − `deviations` × standard deviation, the worst first. NaN means
 * too few outcomes. If all backends do equally well, the deviation is almost 0 and one lost request
 * in a hundred would make an outlier. So the deviation used is never below the standard error of a
 * binomial rate, √(p(1−p)/n). Empty if fewer than `minBackends` can be compared.
 */
export function findOutliers(rates: Float64Array, outcomes: Float64Array, minBackends: number, deviations: number): number[] {
  const known = rates.filter((rate) => !Number.isNaN(rate));
  if (known.length < Math.max(2, minBackends)) return [];
  const mean = known.reduce((sum, rate) => sum + rate, 0) / known.length;
  const deviation = Math.sqrt(known.reduce((sum, rate) => sum + (rate - mean) ** 2, 0) / known.length);
  const found: number[] = [];
  for (let i = 0; i < rates.length; i++) {
    const chance = Math.sqrt((mean * (1 - mean)) / outcomes[i]!);
    if (rates[i]! < mean - deviations * Math.max(deviation, chance)) found.push(i);
  }
  return found.sort((a, b) => rates[a]! - rates[b]!);
}
