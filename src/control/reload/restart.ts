/**
 * What a running edge cannot change: it is said before anything is done, with all of it at once.
 */

import type { Change } from '../../config/diff.ts';
import type { Snapshot } from '../../config/snapshot.ts';

/**
 * Sections and keys that are read at the start and never again: threads are counted by them.
 */
const AT_START: readonly RegExp[] = [
  /^process\b/,
  /^shards\.count\b/,
  /^admin\b/,
  // Connections whose certificates were asked for by other rules would go on.
  /^listeners(\.[\w-]+|\["[^"]*"\])\.(tls\.)?client_certificates\b/,
];

/** Those of `changes` that need a restart. */
export function needingRestart(changes: readonly Change[], before: Snapshot, after: Snapshot): Change[] {
  const found = changes.filter(({ path }) => AT_START.some((pattern) => pattern.test(path)));
  // A file has the same name whatever it says.
  if (before.admin.token !== after.admin.token && !found.some(({ path }) => path.startsWith('admin.token')))
    found.push({ path: 'admin.token_file', before: 'the token as it was read', after: 'another token' });
  return found;
}
