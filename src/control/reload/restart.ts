/**
 * What a running edge cannot change: it is said before anything is done, with all of it at once.
 */

import type { Change } from '../../config/describe/diff.ts';

/**
 * Sections and keys that are read at the start and never again: threads are counted by them.
 */
const AT_START: readonly RegExp[] = [/^process\b/, /^shards\.count\b/];

/** Those of `changes` that need a restart. */
export function needingRestart(changes: readonly Change[]): Change[] {
  return changes.filter(({ path }) => AT_START.some((pattern) => pattern.test(path)));
}
