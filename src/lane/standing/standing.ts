/**
 * Standing: whether a backend may be picked now, and with what share. Breakers, outlier ejection, active health, Retry-After and slow start come together
 * here; balancers ask and never see which of them spoke.
 */

import type { Snapshot } from '../../config/snapshot.ts';
import type { Observer } from '../observer.ts';

export interface StandingParts {
  readonly snapshot: Snapshot;
  /** Made by `createStandingTable`, shared by all shards and the main thread. */
  readonly table: SharedArrayBuffer;
  readonly observer: Observer;
}

export class Standing {
  /** Milliseconds on the clock all shards share; set once a turn. */
  nowMs = 0;

  constructor(_parts: StandingParts) {}

  /** A new turn. */
  begin(nowMs: number): void {
    this.nowMs = nowMs;
  }

  /** May `slot` be picked? Panic is not in it. */
  admits(_slot: number): boolean {
    return true;
  }

  /** Share of its weight that `slot` may have now: less than 1 while it starts slowly. */
  share(_slot: number): number {
    return 1;
  }

  /** So few backends of `upstream` are fit that all of them are to be used. */
  isPanicking(_upstream: number): boolean {
    return false;
  }

  /** An attempt goes to `slot`: true when it is a probe of a half-open breaker, which is then said with its outcome. */
  attempted(_slot: number): boolean {
    return false;
  }

  /** A response head came from `slot`. `grpcStatus` and `retryAfterS` are NONE when there is none. */
  responded(_slot: number, _status: number, _grpcStatus: number, _retryAfterS: number, _isProbe: boolean): void {}

  /** The attempt at `slot` failed for `reason`, before or after its response head. */
  failed(_slot: number, _reason: number, _isProbe: boolean): void {}

  /** The attempt ended without saying anything about `slot`: the client left, or a hedge was faster. */
  abandoned(_slot: number, _isProbe: boolean): void {}
}
