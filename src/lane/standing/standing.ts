/**
 * Standing: whether a backend may be picked now, and with what share. It combines breakers, outlier
 * ejection, active health, Retry-After and slow start. Balancers ask here and never see which of
 * them decided.
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

/** Interval at which a lane checks all backends for changes that only depend on time. */
const SWEEP_MS = 100;

/** Upper bound for a hold-off by Retry-After, so that a backend cannot ask for more by mistake. */
export const MAX_HOLD_OFF_MS = 300_000;

export interface StandingParts {
  readonly snapshot: StandingSource;
  /** Made by `createStandingTable`; shared by all shards and the main thread. */
  readonly table: SharedArrayBuffer;
  readonly observer: Pick<Observer, 'noted'>;
  /**
   * Forgets a backend's latency from before its ejection, which would keep balancers from probing
   * it.
   */
  readonly backends?: Pick<Backends, 'forget'>;
  /** Terms of the snapshot and the table, if they exist already. */
  readonly terms?: readonly StandingTerms[];
}

export class Standing {
  /** Milliseconds on the clock shared by all shards; set once per turn. */
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

  /** Begins a turn. */
  begin(nowMs: number): void {
    this.nowMs = nowMs;
    this.breakers.nowMs = nowMs;
    if (nowMs >= this.sweepAtMs) this.sweep();
  }

  /** Whether `slot` may be picked. Ignores panic. */
  admits(slot: number): boolean {
    // The three hot reads use no fence, which would cost a third more. A change is then seen one
    // request later.
    const bars = this.words[slot * BACKEND_WORDS]!;
    return (bars & BARRING_BITS) === 0 || this.admitsBarred(slot);
  }

  /** Whether active checks found `slot` down. */
  isDown(slot: number): boolean {
    return (this.words[slot * BACKEND_WORDS]! & DOWN) !== 0;
  }

  /**
   * Milliseconds until `slot`, now not admitted, can be admitted at the earliest; -1 if unknown.
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

  /** The share of its weight that `slot` may have now: below 1 during slow start. */
  share(slot: number): number {
    const bars = this.words[slot * BACKEND_WORDS]!;
    return (bars & STARTS_SLOWLY) === 0 ? 1 : this.risingShare(slot);
  }

  /** Whether so few backends of `upstream` are fit that all of them are used. */
  isPanicking(upstream: number): boolean {
    return this.crowd.isPanicking(upstream);
  }

  /**
   * An attempt goes to `slot`. True if it is a probe of a half-open breaker; its outcome must then
   * be reported as such.
   */
  attempted(slot: number): boolean {
    const bars = this.words[slot * BACKEND_WORDS]!;
    return (bars & HALF_OPEN) !== 0 && this.breakers.takeProbePlace(this.of[slot]!, slot);
  }

  /** `slot` sent a response head. `grpcStatus` and `retryAfterS` are NONE if absent. */
  responded(slot: number, status: number, grpcStatus: number, retryAfterS: number, isProbe: boolean): void {
    const terms = this.of[slot];
    // The backend was removed in the meantime.
    if (terms === undefined) return;
    const isFailure = terms.countsAnswer(status, grpcStatus);
    terms.windows.at(this.nowMs);
    if (terms.outlier.isOn) this.outliers.count(slot, !isFailure);
    if (isFailure) this.breakers.failed(terms, slot, RESPONSE_STATUS, status, isProbe);
    else this.breakers.succeeded(terms, slot, isProbe);
    // A 429 is meant for one client: a hold-off would let that client take the backend away from
    // all others.
    if (retryAfterS !== NONE && retryAfterS > 0 && status === 503) this.holdOff(terms, slot, retryAfterS);
  }

  /** The attempt at `slot` succeeded, as judged by a caller that has no response head. */
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

  /** The attempt at `slot` failed, and the caller has decided that it counts. */
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

  /** Applies changes that only depend on time, also to backends that get no requests. */
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

  /** Ends what has expired: a hold-off, an open breaker's time, a slow start. */
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
   * The last admitted backend is never held off. A shard that finds afterwards that it held off the
   * last one undoes it.
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
