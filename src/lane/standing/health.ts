/**
 * What active health checks tell the lanes about a backend. The main thread runs the checks and is
 * the only writer.
 */

import { BACKEND_FLOATS, BACKEND_WORDS, DOWN, HEALTH_WORD, lower, RETURNED_F64, raise, STARTS_SLOWLY, UP_AGAIN_F64 } from './table.ts';

/** `unknown` counts as up: a backend that was not checked yet gets requests. */
export type HealthState = 'unknown' | 'up' | 'down';

/** Indexed by the number in the table. */
export const HEALTH_STATES: readonly HealthState[] = ['unknown', 'up', 'down'];

/**
 * Sets the health of backend `slot`. A `down` backend is not picked, and starts slowly when it
 * comes back. `nowMs` is on the clock shared by all shards.
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
 * The earliest time at which checks can find `slot`, now down, up again. `atMs` is on the clock
 * shared by all shards.
 */
export function setUpAgain(table: SharedArrayBuffer, slot: number, atMs: number): void {
  new Float64Array(table, 0, (slot + 1) * BACKEND_FLOATS)[slot * BACKEND_FLOATS + UP_AGAIN_F64] = atMs;
}
