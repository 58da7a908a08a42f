/**
 * What the lane reports to metrics and access logs; the lane itself knows neither. Every call is on
 * the hot path: no promise, no object, no throw.
 */

import type { CompletionReader } from '../record/read.ts';

/** Belongs to one snapshot, whose numbers (routes, slots) the calls use. */
export interface Observer {
  /** An attempt was sent to backend `slot`. `isRetry` if it is not the exchange's first. */
  attempted(slot: number, isRetry: boolean): void;
  /** An attempt at `slot` failed for `reason`. */
  attemptFailed(slot: number, reason: number): void;
  /**
   * A note of the registry (`src/base/notes.ts`) about `upstream` and `slot`, each -1 if it
   * concerns none. `detail` is a reason's number or specific to the note; `text` is what a number
   * cannot say.
   */
  noted(note: number, upstream: number, slot: number, detail: number, text?: string): void;
  /** A rule or the lane itself threw; the exchange was answered with `lane_failed`. */
  laneFailed(error: unknown): void;
  /**
   * An exchange ended. `route` is NO_ROUTE (-1), `slot` -1 and `tenant` -1 if it had none. The
   * reader is valid during the call only.
   */
  completed(completion: CompletionReader, route: number, slot: number, tenant: number): void;
  /** One call of the lane: how many records it took and how long it ran, in milliseconds. */
  turned(records: number, durationMs: number): void;
}
