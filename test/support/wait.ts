/** Waiting in tests: for a condition, with a deadline that names what was waited for. */

import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Asks every few milliseconds until the answer is truthy, and gives it; throws after `withinMs`.
 */
export async function until<T>(what: string, ask: () => T | Promise<T>, withinMs = 30_000): Promise<NonNullable<T>> {
  const deadline = performance.now() + withinMs;
  let pauseMs = 2;
  for (;;) {
    const answer = await ask();
    if (answer) return answer as NonNullable<T>;
    if (performance.now() > deadline) throw new Error(`waited ${withinMs} ms in vain: ${what}`);
    await sleep(pauseMs);
    pauseMs = Math.min(pauseMs * 2, 50);
  }
}

/** A promise that fails when `work` takes longer than `withinMs`. */
export async function within<T>(withinMs: number, what: string, work: Promise<T>): Promise<T> {
  const patience = new AbortController();
  try {
    return await Promise.race([
      work,
      sleep(withinMs, undefined, { signal: patience.signal }).then(() => {
        throw new Error(`took longer than ${withinMs} ms: ${what}`);
      }),
    ]);
  } finally {
    patience.abort();
  }
}

/** A promise with its handles, for events that arrive in callbacks. */
export const deferred = <T>(): PromiseWithResolvers<T> => Promise.withResolvers<T>();
