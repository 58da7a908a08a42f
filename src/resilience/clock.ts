/**
 * Time, as the parts of this library see it: what it is now, and something to be done later.
 * Everything that waits takes a clock, so that tests of services need not sleep: they give a manual
 * one and move it.
 */

export interface Clock {
  /**
   * Milliseconds. Parts that share memory between threads must be on the same clock, as all are on
   * `systemClock`.
   */
  now(): number;
  /**
   * Calls `then` once in `delayMs`, unless the function it gives is called before. In the
   * background it keeps no process alive.
   */
  after(delayMs: number, then: () => void, isBackground?: boolean): () => void;
}

/** A timer of Node takes no more (2^31 - 1); what is due later is waited for in several steps. */
const LONGEST_TIMER_MS = 0x7fff_ffff;

/** The epoch on the monotonic clock: never set back, and the same in all threads of a process. */
export const systemClock: Clock = {
  now: () => performance.timeOrigin + performance.now(),
  after(delayMs, then, isBackground = false) {
    let timer: NodeJS.Timeout;
    const wait = (leftMs: number) => {
      const stepMs = Math.min(LONGEST_TIMER_MS, leftMs);
      timer = setTimeout(() => (leftMs > stepMs ? wait(leftMs - stepMs) : then()), stepMs);
      if (isBackground) timer.unref();
    };
    wait(delayMs);
    return () => clearTimeout(timer);
  },
};

/** A clock that stands still until it is moved. */
export interface ManualClock extends Clock {
  /** Moves on by `byMs` and does what is due on the way, in its order. */
  advance(byMs: number): void;
  /** How many things are still to be done. */
  readonly pending: number;
}

/** For tests. `startMs` is its first time. */
export function createManualClock(startMs = 1_000_000): ManualClock {
  let nowMs = startMs;
  const due = new Set<{ readonly atMs: number; readonly then: () => void }>();
  const next = (untilMs: number) => {
    let first: { readonly atMs: number; readonly then: () => void } | undefined;
    for (const entry of due) if (entry.atMs <= untilMs && (first === undefined || entry.atMs < first.atMs)) first = entry;
    return first;
  };
  return {
    now: () => nowMs,
    after(delayMs, then) {
      const entry = { atMs: nowMs + Math.max(0, delayMs), then };
      due.add(entry);
      return () => void due.delete(entry);
    },
    advance(byMs) {
      const untilMs = nowMs + byMs;
      for (let entry = next(untilMs); entry !== undefined; entry = next(untilMs)) {
        due.delete(entry);
        nowMs = entry.atMs;
        entry.then();
      }
      nowMs = untilMs;
    },
    get pending() {
      return due.size;
    },
  };
}

/**
 * Resolves after `delayMs`; rejects with the signal's reason when it aborts before. Nothing is left
 * behind either way.
 */
export function pause(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const stop = () => {
      cancel();
      reject(signal?.reason);
    };
    const cancel = clock.after(delayMs, () => {
      signal?.removeEventListener('abort', stop);
      resolve();
    });
    signal?.addEventListener('abort', stop, { once: true });
  });
}
