/**
 * How long to wait before a dead worker is replaced: not at all the first time, because clients are
 * waiting; then longer and longer, because a worker that dies again at once will not be cured by
 * haste. A worker that has lived for a while clears the record.
 */

const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 5_000;
/** A life of this length counts as sound. */
const SOUND_LIFE_MS = 10_000;

export interface RestartDelay {
  /** Milliseconds to wait now that a life of `livedMs` has ended. */
  next(livedMs: number): number;
}

export function createRestartDelay(): RestartDelay {
  let deaths = 0;
  return {
    next(livedMs) {
      deaths = livedMs >= SOUND_LIFE_MS ? 1 : deaths + 1;
      return deaths === 1 ? 0 : Math.min(FIRST_DELAY_MS * 2 ** (deaths - 2), MAX_DELAY_MS);
    },
  };
}
