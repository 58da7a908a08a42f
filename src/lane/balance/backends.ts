/**
 * What a lane knows of every backend when it picks. Attempts in flight and latency come from the
 * table shared by all shards. The lane itself adds what it picked since the reactor last counted,
 * which names have no address, and which backends failed a moment ago. Latency is a peak-sensitive
 * moving average ("peak EWMA" in Twitter's Finagle): a slower sample counts at once, a faster one
 * with a weight that grows with the time since the last. Without samples the average decays, so
 * that a backend that was slow is tried again.
 */

import { floatOf, IN_FLIGHT_WORD, LATENCY_EWMA_F64, LATENCY_STAMP_F64, SAMPLE_COUNT_WORD, wordOf } from '../../base/tables.ts';

/**
 * The latency that a failure counts as, in microseconds, if the average is lower: slower than any
 * answer worth waiting for.
 */
export const FAILURE_PENALTY_US = 1_000_000;

/** How long a backend that could not be reached is avoided while others can be picked. */
export const AVOID_MS = 1_000;

/** Removed for good: a later number of addresses does not bring it back. */
const IS_GONE = 2;

/** Settings of a backend that are not in the table. */
export interface BackendTerms {
  readonly slot: number;
  /** Time constant of the latency's decay. */
  readonly decayMs: number;
}

export class Backends {
  /**
   * Time of the turn, in milliseconds of `performance.timeOrigin + performance.now()`. The lane
   * sets it, so that the clock is read once per turn.
   */
  nowMs = 0;

  private readonly counts: Int32Array;
  private readonly latencies: Float64Array;
  private readonly decayMs: Float64Array;
  private readonly isAddressed: Uint8Array;
  private readonly avoidUntilMs: Float64Array;
  /** Picks of this turn: the reactor adds them to the shared count only after the lane returns. */
  private readonly picked: Int32Array;
  private readonly pickedSlots: Int32Array;
  private pickedCount = 0;

  /** `table` is made by `createBackendTable` for at least as many slots. */
  constructor(table: SharedArrayBuffer, terms: readonly BackendTerms[]) {
    this.counts = new Int32Array(table);
    this.latencies = new Float64Array(table);
    this.decayMs = new Float64Array(terms.length);
    for (const { slot, decayMs } of terms) this.decayMs[slot] = decayMs;
    this.isAddressed = new Uint8Array(terms.length).fill(1);
    this.avoidUntilMs = new Float64Array(terms.length);
    this.picked = new Int32Array(terms.length);
    this.pickedSlots = new Int32Array(terms.length);
  }

  /** Begins a turn: the picks of the last one are in the shared count by now. */
  begin(nowMs: number): void {
    this.nowMs = nowMs;
    for (let i = 0; i < this.pickedCount; i++) this.picked[this.pickedSlots[i]!] = 0;
    this.pickedCount = 0;
  }

  /** Records a pick of `slot`. */
  take(slot: number): void {
    if (this.picked[slot] === 0) this.pickedSlots[this.pickedCount++] = slot;
    this.picked[slot] = this.picked[slot]! + 1;
  }

  /** Attempts in flight from all shards, including the picks of this turn. */
  inFlight(slot: number): number {
    // Read several times per pick, so without a fence: others change the count meanwhile anyway.
    return this.counts[wordOf(slot, IN_FLIGHT_WORD)]! + this.picked[slot]!;
  }

  /** The current latency of response heads in microseconds; 0 if unknown. */
  latencyUs(slot: number): number {
    const latency = this.latencies[floatOf(slot, LATENCY_EWMA_F64)]!;
    if (latency === 0) return 0;
    const idleMs = this.nowMs - this.latencies[floatOf(slot, LATENCY_STAMP_F64)]!;
    return latency * remaining(idleMs / this.decayMs[slot]!);
  }

  /** Records a response head that came after `us`. */
  sample(slot: number, us: number): void {
    const at = floatOf(slot, 0);
    const latency = this.latencies[at + LATENCY_EWMA_F64]!;
    const share = remaining((this.nowMs - this.latencies[at + LATENCY_STAMP_F64]!) / this.decayMs[slot]!);
    // 0 would mean "unknown".
    this.latencies[at + LATENCY_EWMA_F64] = Math.max(1, us >= latency ? us : us + (latency - us) * share);
    this.latencies[at + LATENCY_STAMP_F64] = this.nowMs;
    Atomics.add(this.counts, wordOf(slot, SAMPLE_COUNT_WORD), 1);
  }

  /** Records a failed attempt. A quick failure does not lower the latency. */
  fail(slot: number): void {
    this.sample(slot, Math.max(FAILURE_PENALTY_US, this.latencyUs(slot)));
  }

  /**
   * Records a head that says the backend is unwell (5xx): a slow one counts, a quick one does not.
   */
  sampleUnwell(slot: number, us: number): void {
    this.sample(slot, Math.max(us, this.latencyUs(slot)));
  }

  /** Forgets the latency of `slot`, so that it is tried. */
  forget(slot: number): void {
    this.latencies[floatOf(slot, LATENCY_EWMA_F64)] = 0;
    this.avoidUntilMs[slot] = 0;
  }

  /** Avoids a backend that could not be reached for a moment. */
  avoid(slot: number): void {
    this.avoidUntilMs[slot] = this.nowMs + AVOID_MS;
  }

  isAvoided(slot: number): boolean {
    return this.avoidUntilMs[slot]! > this.nowMs;
  }

  /** Sets how many addresses the name of `slot` has; with none it is not picked. */
  setAddresses(slot: number, count: number): void {
    if (slot < this.isAddressed.length && this.isAddressed[slot] !== IS_GONE) this.isAddressed[slot] = count > 0 ? 1 : 0;
  }

  /**
   * Takes `slot` out of the choice for good: a later snapshot has removed or replaced its backend.
   */
  remove(slot: number): void {
    this.isAddressed[slot] = IS_GONE;
  }

  hasAddress(slot: number): boolean {
    return this.isAddressed[slot] === 1;
  }
}

/**
 * e^-x for x ≥ 0. Most samples follow each other closely; three terms are accurate enough there,
 * and cheaper.
 */
function remaining(x: number): number {
  if (x <= 0) return 1;
  return x < 0.02 ? 1 - x + x * x * 0.5 : Math.exp(-x);
}
