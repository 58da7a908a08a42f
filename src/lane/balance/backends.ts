/**
 * What a lane knows of every backend when it picks: attempts in flight and latency from the table
 * all shards share, and of its own what it has picked since the reactor last counted, which names
 * have no address, and who failed a moment ago.
 *
 * Latency is a peak-sensitive moving average (the "peak EWMA" of Twitter's Finagle): a slower
 * sample counts at once, a faster one with a weight that grows with the time since the last, and an
 * average nobody refreshes sinks, so that a backend that was slow is tried again.
 */

import { floatOf, IN_FLIGHT_WORD, LATENCY_EWMA_F64, LATENCY_STAMP_F64, SAMPLE_COUNT_WORD, wordOf } from '../../base/tables.ts';

/**
 * What a failure counts as, in microseconds, if the average is not above it already: slower than
 * any answer worth waiting for.
 */
export const FAILURE_PENALTY_US = 1_000_000;

/** How long a backend that could not be reached is passed over while others can be. */
export const AVOID_MS = 1_000;

/** No number of addresses makes it a choice again. */
const IS_GONE = 2;

/** What must be known of a backend beside the table. */
export interface BackendTerms {
  readonly slot: number;
  /** Time constant of the latency's decay. */
  readonly decayMs: number;
}

export class Backends {
  /**
   * Time of the turn, milliseconds of `performance.timeOrigin + performance.now()`; set by the
   * lane, so that it is asked once a turn.
   */
  nowMs = 0;

  private readonly counts: Int32Array;
  private readonly latencies: Float64Array;
  private readonly decayMs: Float64Array;
  private readonly isAddressed: Uint8Array;
  private readonly avoidUntilMs: Float64Array;
  /**
   * Picks of this turn: the reactor adds them to the shared count only after the lane has returned.
   */
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

  /** A new turn: what was picked in the last is in the shared count by now. */
  begin(nowMs: number): void {
    this.nowMs = nowMs;
    for (let i = 0; i < this.pickedCount; i++) this.picked[this.pickedSlots[i]!] = 0;
    this.pickedCount = 0;
  }

  /** Says that `slot` gets an attempt. */
  take(slot: number): void {
    if (this.picked[slot] === 0) this.pickedSlots[this.pickedCount++] = slot;
    this.picked[slot] = this.picked[slot]! + 1;
  }

  /** Attempts in flight from all shards, with this turn's. */
  inFlight(slot: number): number {
    // Asked several times with every pick, so without a fence: others count meanwhile anyway.
    return this.counts[wordOf(slot, IN_FLIGHT_WORD)]! + this.picked[slot]!;
  }

  /** Latency of response heads as it stands now, microseconds; 0 when nothing is known. */
  latencyUs(slot: number): number {
    const latency = this.latencies[floatOf(slot, LATENCY_EWMA_F64)]!;
    if (latency === 0) return 0;
    const idleMs = this.nowMs - this.latencies[floatOf(slot, LATENCY_STAMP_F64)]!;
    return latency * remaining(idleMs / this.decayMs[slot]!);
  }

  /** A response head came after `us`. */
  sample(slot: number, us: number): void {
    const at = floatOf(slot, 0);
    const latency = this.latencies[at + LATENCY_EWMA_F64]!;
    const share = remaining((this.nowMs - this.latencies[at + LATENCY_STAMP_F64]!) / this.decayMs[slot]!);
    // A zero would read as "nothing is known".
    this.latencies[at + LATENCY_EWMA_F64] = Math.max(1, us >= latency ? us : us + (latency - us) * share);
    this.latencies[at + LATENCY_STAMP_F64] = this.nowMs;
    Atomics.add(this.counts, wordOf(slot, SAMPLE_COUNT_WORD), 1);
  }

  /** An attempt failed: however quick that was, it does not count as quick. */
  fail(slot: number): void {
    this.sample(slot, Math.max(FAILURE_PENALTY_US, this.latencyUs(slot)));
  }

  /** A head came, but one that says the backend is unwell (5xx): slow counts, quick does not. */
  sampleUnwell(slot: number, us: number): void {
    this.sample(slot, Math.max(us, this.latencyUs(slot)));
  }

  /** What was known of the latency of `slot` is old: nothing is known, so that it is tried. */
  forget(slot: number): void {
    this.latencies[floatOf(slot, LATENCY_EWMA_F64)] = 0;
    this.avoidUntilMs[slot] = 0;
  }

  /** The backend could not be reached: pass it over for a moment. */
  avoid(slot: number): void {
    this.avoidUntilMs[slot] = this.nowMs + AVOID_MS;
  }

  isAvoided(slot: number): boolean {
    return this.avoidUntilMs[slot]! > this.nowMs;
  }

  /** How many addresses the name of `slot` has; none takes it out of the choice. */
  setAddresses(slot: number, count: number): void {
    if (slot < this.isAddressed.length && this.isAddressed[slot] !== IS_GONE) this.isAddressed[slot] = count > 0 ? 1 : 0;
  }

  /**
   * Takes `slot` out of the choice for good: a later snapshot has no such backend, or another one
   * there.
   */
  remove(slot: number): void {
    this.isAddressed[slot] = IS_GONE;
  }

  hasAddress(slot: number): boolean {
    return this.isAddressed[slot] === 1;
  }
}

/**
 * e^-x for x ≥ 0. Most samples follow each other closely, where three terms are as good as the
 * function and cheaper.
 */
function remaining(x: number): number {
  if (x <= 0) return 1;
  return x < 0.02 ? 1 - x + x * x * 0.5 : Math.exp(-x);
}
