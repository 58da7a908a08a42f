/**
 * What active health checks tell the lanes of a backend. They are made by the main thread, which
 * alone writes this.
 */

import { BACKEND_FLOATS, BACKEND_WORDS, DOWN, HEALTH_WORD, lower, RETURNED_F64, raise, STARTS_SLOWLY, UP_AGAIN_F64 } from './table.ts';

/** `unknown` counts as up: a backend nobody has asked yet is not to be left out. */
export type HealthState = 'unknown' | 'up' | 'down';

/** By number, as it stands in the table. */
export const HEALTH_STATES: readonly HealthState[] = ['unknown', 'up', 'down'];

/**
 * Backend `slot` is not picked while it is `down`, and starts slowly when it comes back. `nowMs` is
 * on the clock all shards share.
 */
export function setHealth(
  table: SharedArrayBuffer,
  slot: number,
  state: HealthState,
  nowMs: number = performance.timeOrigin + performance.now(),
): void {
  const words = new Int32Array(table);
  const at = slot * BACKEND_WORDS;
  Atomics.store(words, at + HEALTH_WORD, HEALTH_STATES.indexOf(state));
  if (state === 'down') {
    raise(words, at, DOWN);
    return;
  }
  if ((Atomics.load(words, at) & DOWN) === 0) return;
  new Float64Array(table, 0, (slot + 1) * BACKEND_FLOATS)[slot * BACKEND_FLOATS + RETURNED_F64] = nowMs;
  raise(words, at, STARTS_SLOWLY);
  lower(words, at, DOWN);
}

/**
 * Checks can find `slot`, which is down, up again at `atMs` at the earliest, on the clock all
 * shards share.
 */
export function setUpAgain(table: SharedArrayBuffer, slot: number, atMs: number): void {
  new Float64Array(table, 0, (slot + 1) * BACKEND_FLOATS)[slot * BACKEND_FLOATS + UP_AGAIN_F64] = atMs;
}
