/**
 * What the lane tells those who watch it. Counters and access lines hang on these calls; the lane itself knows neither. Every call is made on the
 * hot path: no promise, no object, no throw.
 */

import type { CompletionReader } from '../record/read.ts';

/** Given to a lane together with a snapshot, whose numbers (routes, slots) the calls use. */
export interface Observer {
  /** An attempt was sent to backend `slot`; `isRetry` when it is not the exchange's first. */
  attempted(slot: number, isRetry: boolean): void;
  /** An attempt at `slot` failed for `reason`. */
  attemptFailed(slot: number, reason: number): void;
  /**
   * Something of the registry of notes happened (`src/base/notes.ts`) at `upstream` and `slot`, -1 where it concerns none. `detail` is a reason's number, or what
   * the note's maker says; `text` what a number cannot.
   */
  noted(note: number, upstream: number, slot: number, detail: number, text?: string): void;
  /** A rule or the lane itself threw; the exchange was answered with `lane_failed`. */
  laneFailed(error: unknown): void;
  /** An exchange ended. `route` is NO_ROUTE (-1) and `slot` -1 when it never had one, `tenant` -1 when it has none. The reader is valid during the call. */
  completed(completion: CompletionReader, route: number, slot: number, tenant: number): void;
  /** One call of the lane: how many records it took and how long, milliseconds. */
  turned(records: number, durationMs: number): void;
}
