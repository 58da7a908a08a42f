/** Keys of earlier versions, and what says the same now. */

import type { KeyPath } from './problem.ts';

const MOVED: readonly (readonly [pattern: RegExp, now: string])[] = [
  [/^routes\.\d+\.forwarded\.trust$/, "the proxies in the listener's trusted_networks, whose fields forwarded.trusted appends to"],
];

/**
 * What stands for a key that is gone, as the end of the sentence "expected …"; undefined for keys
 * that never were.
 */
export function movedTo(path: KeyPath): string | undefined {
  const text = path.join('.');
  return MOVED.find(([pattern]) => pattern.test(text))?.[1];
}
