/**
 * Standing: whether a backend may be picked now, and with what share. Breakers, outlier ejection,
 * active health, Retry-After and slow start come together here; balancers ask and never see which
 * of them spoke.
 */

import { reasonNumber } from '../../base/errors.ts';
import { noteNumber } from '../../base/notes.ts';
import { finish } from '../../base/steps.ts';
import { NONE } from '../../record/layout.ts';
import type { Backends } from '../balance/backends.ts';
import type { Observer } from '../observer.ts';
import { Breakers } from './breaker.ts';
import { Crowd } from './crowd.ts';
import { Outliers } from './outlier.ts';
import {
  BACKEND_FLOATS,
  BACKEND_WORDS,
  BARRING_BITS,
  BREAKER_BITS,
  backendRoom,
  DOWN,
  HALF_OPEN,
  HELD_OFF,
  HELD_UNTIL_F64,
  lower,
  OPEN,
  OPEN_UNTIL_F64,
  RETURNED_F64,
  raise,
  STARTS_SLOWLY,
  UP_AGAIN_F64,
} from './table.ts';
import { compileTerms, type StandingSource, type StandingTerms } from './terms.ts';

const RESPONSE_STATUS = reasonNumber('response_status');
const BACKEND_HELD_OFF = noteNumber('backend_held_off');

/** How often a lane looks at all backends of all upstreams for what time alone changes. */
const SWEEP_MS = 100;

/**
 * Longest time a Retry-After holds a backend off: nobody should be able to ask for more by mistake.
 */
export const MAX_HOLD_OFF_MS = 300_000;

export interface StandingParts {
  readonly snapshot: StandingSource;
  /** Made by `createStandingTable`, shared by all shards and the main thread. */
  readonly table: SharedArrayBuffer;
  readonly observer: Pick<Observer, 'noted'>;
  /**
   * What is remembered of a backend's latency from before its ejection would keep a balancer from
   * sending it probes.
   */
  readonly backends?: Pick<Backends, 'forget'>;
  /** Of the snapshot and the table, where they are made already. */
  readonly terms?: readonly StandingTerms[];
}

export class Standing {
  /** Milliseconds on the clock all shards share; set once a turn. */
  nowMs = 0;

  private readonly words: Int32Array;
  private readonly floats: Float64Array;
  private readonly terms: readonly StandingTerms[];
  /** Terms by slot. */
  private readonly of: readonly (StandingTerms | undefined)[];
  private readonly crowd: Crowd;
  private readonly breakers: Breakers;
  private readonly outliers: Outliers;
  private readonly observer: Pick<Observer, 'noted'>;
  private sweepAtMs = 0;

  constructor({ snapshot, table, observer, backends, terms }: StandingParts) {
    const backendCount = backendRoom(snapshot);
    this.words = new Int32Array(table);
    this.floats = new Float64Array(table, 0, backendCount * BACKEND_FLOATS);
    this.terms = terms ?? finish(compileTerms(snapshot, table));
    this.of = termsBySlot(this.terms, snapshot.backends.length);
    this.crowd = new Crowd(table, backendCount, observer);
    this.breakers = new Breakers(table, this.crowd, observer, backends);
    this.outliers = new Outliers(table, backendCount, this.breakers);
    this.observer = observer;
  }

  /** A new turn. */
  begin(nowMs: number): void {
    this.nowMs = nowMs;
    this.breakers.nowMs = nowMs;
    if (nowMs >= this.sweepAtMs) this.sweep();
  }

  /** May `slot` be picked? Panic is not in it. */
  admits(slot: number): boolean {
    // The three hot questions read without a fence, which costs a third: a change of a nanosecond
    // ago may as well be seen with the next request.
    const bars = this.words[slot * BACKEND_WORDS]!;
    return (bars & BARRING_BITS) === 0 || this.admitsBarred(slot);
  }

  /** Active checks found `slot` down. */
  isDown(slot: number): boolean {
    return (this.words[slot * BACKEND_WORDS]! & DOWN) !== 0;
  }

  /**
   * Milliseconds until `slot`, which is not admitted, may be at the earliest; -1 where nobody
   * knows.
   */
  msUntilAdmitted(slot: number): number {
    const cell = slot * BACKEND_FLOATS;
    const bars = this.words[slot * BACKEND_WORDS]!;
    const upAgainMs = this.floats[cell + UP_AGAIN_F64]!;
    if ((bars & DOWN) !== 0 && upAgainMs === 0) return -1;
    return Math.max(
      0,
      (bars & BREAKER_BITS) === OPEN ? this.floats[cell + OPEN_UNTIL_F64]! - this.nowMs : 0,
      (bars & HELD_OFF) !== 0 ? this.floats[cell + HELD_UNTIL_F64]! - this.nowMs : 0,
      (bars & DOWN) !== 0 ? upAgainMs - this.nowMs : 0,
    );
  }

  /** Share of its weight that `slot` may have now: less than 1 while it starts slowly. */
  share(slot: number): number {
    const bars = this.words[slot * BACKEND_WORDS]!;
    return (bars & STARTS_SLOWLY) === 0 ? 1 : this.risingShare(slot);
  }

  /** So few backends of `upstream` are fit that all of them are to be used. */
  isPanicking(upstream: number): boolean {
    return this.crowd.isPanicking(upstream);
  }

  /**
   * An attempt goes to `slot`: true when it is a probe of a half-open breaker, which is then said
   * with its outcome.
   */
  attempted(slot: number): boolean {
    const bars = this.words[slot * BACKEND_WORDS]!;
    return (bars & HALF_OPEN) !== 0 && this.breakers.takeProbePlace(this.of[slot]!, slot);
  }

  /**
   * A response head came from `slot`. `grpcStatus` and `retryAfterS` are NONE when there is none.
   */
  responded(slot: number, status: number, grpcStatus: number, retryAfterS: number, isProbe: boolean): void {
    const terms = this.of[slot];
    // It was removed since.
    if (terms === undefined) return;
    const isFailure = terms.countsAnswer(status, grpcStatus);
    terms.windows.at(this.nowMs);
    if (terms.outlier.isOn) this.outliers.count(slot, !isFailure);
    if (isFailure) this.breakers.failed(terms, slot, RESPONSE_STATUS, status, isProbe);
    else this.breakers.succeeded(terms, slot, isProbe);
    // 429 is said to one client: holding the backend off for it would let that client take it from
    // everyone.
    if (retryAfterS !== NONE && retryAfterS > 0 && status === 503) this.holdOff(terms, slot, retryAfterS);
  }

  /** The attempt at `slot` did well, says someone who has no response head to be judged. */
  succeeded(slot: number, isProbe: boolean): void {
    const terms = this.of[slot];
    if (terms === undefined) return;
    terms.windows.at(this.nowMs);
    if (terms.outlier.isOn) this.outliers.count(slot, true);
    this.breakers.succeeded(terms, slot, isProbe);
  }

  /** The attempt at `slot` failed for `reason`, before or after its response head. */
  failed(slot: number, reason: number, isProbe: boolean): void {
    const terms = this.of[slot];
    if (terms === undefined) return;
    if (terms.countsReason(reason)) this.judgedFailed(slot, reason, isProbe);
    else this.abandoned(slot, isProbe);
  }

  /** The attempt at `slot` failed, says someone who has judged himself that it counts. */
  judgedFailed(slot: number, reason: number, isProbe: boolean): void {
    const terms = this.of[slot];
    if (terms === undefined) return;
    terms.windows.at(this.nowMs);
    if (terms.outlier.isOn) this.outliers.count(slot, false);
    this.breakers.failed(terms, slot, reason, 0, isProbe);
  }

  /**
   * The attempt ended without saying anything about `slot`: the client left, or a hedge was faster.
   */
  abandoned(slot: number, isProbe: boolean): void {
    if (isProbe) this.breakers.giveBack(slot);
  }

  /** What time alone changes, also where nobody asks. */
  private sweep(): void {
    this.sweepAtMs = this.nowMs + SWEEP_MS;
    for (let i = 0; i < this.terms.length; i++) {
      const terms = this.terms[i]!;
      for (let j = 0; j < terms.slots.length; j++) {
        const slot = terms.slots[j]!;
        if (Atomics.load(this.words, slot * BACKEND_WORDS) !== 0) this.settle(terms, slot);
      }
      this.outliers.look(terms, this.nowMs);
      this.crowd.look(terms);
    }
  }

  /** Ends what is over by now: a hold-off, the time of an open breaker, a slow start. */
  private settle(terms: StandingTerms, slot: number): void {
    const { words, floats, nowMs } = this;
    const at = slot * BACKEND_WORDS;
    const cell = slot * BACKEND_FLOATS;
    const bars = Atomics.load(words, at);
    if ((bars & BREAKER_BITS) === OPEN) this.breakers.halfOpen(terms, slot);
    if ((bars & HELD_OFF) !== 0 && nowMs >= floats[cell + HELD_UNTIL_F64]!) lower(words, at, HELD_OFF);
    if ((bars & STARTS_SLOWLY) !== 0 && (bars & BARRING_BITS) === 0 && nowMs >= floats[cell + RETURNED_F64]! + terms.slowStartMs)
      lower(words, at, STARTS_SLOWLY);
  }

  private admitsBarred(slot: number): boolean {
    const terms = this.of[slot]!;
    this.settle(terms, slot);
    const bars = Atomics.load(this.words, slot * BACKEND_WORDS);
    if ((bars & (OPEN | DOWN | HELD_OFF)) !== 0) return false;
    return (bars & HALF_OPEN) === 0 || this.breakers.hasProbePlace(terms, slot);
  }

  private risingShare(slot: number): number {
    return this.of[slot]!.shareAfter(this.nowMs - this.floats[slot * BACKEND_FLOATS + RETURNED_F64]!);
  }

  /**
   * The last one that is admitted is not let go, or there would be nobody; who finds that it was
   * the last only afterwards takes it back.
   */
  private holdOff(terms: StandingTerms, slot: number, retryAfterS: number): void {
    const { words, floats, crowd } = this;
    const at = slot * BACKEND_WORDS;
    const cell = slot * BACKEND_FLOATS;
    if (!crowd.hasOther(terms, slot)) return;
    const untilMs = this.nowMs + Math.min(MAX_HOLD_OFF_MS, retryAfterS * 1_000);
    floats[cell + HELD_UNTIL_F64] = Math.max(untilMs, floats[cell + HELD_UNTIL_F64]!);
    if (!raise(words, at, HELD_OFF)) return;
    if (!crowd.hasOther(terms, slot)) {
      lower(words, at, HELD_OFF);
      return;
    }
    this.observer.noted(BACKEND_HELD_OFF, terms.upstream, slot, Math.round((untilMs - this.nowMs) / 1_000));
    crowd.look(terms);
  }
}

function termsBySlot(terms: readonly StandingTerms[], count: number): (StandingTerms | undefined)[] {
  const of = new Array<StandingTerms | undefined>(count).fill(undefined);
  for (const upstream of terms) for (const slot of upstream.slots) of[slot] = upstream;
  return of;
}
