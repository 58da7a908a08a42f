/**
 * What a running edge cannot change: it is said before anything is done, with all of it at once.
 */

import type { Change } from '../../config/diff.ts';
import type { Snapshot } from '../../config/snapshot.ts';

/**
 * Sections and keys that are read at the start and never again: sockets are bound by them, memory
 * is cut by them.
 */
const AT_START: readonly RegExp[] = [
  // All of a listener but its certificates and who gets which.
  /^listeners(?!(\.[\w-]+|\["[^"]*"\])\.(certificates|tls\.(unknown_name|strict|tickets))\b)/,
  /^certificates\b/,
  /^process\b/,
  /^shards\.count\b/,
  /^limits\b/,
  /^admin\b/,
  // Which peers are believed is the reactor's business as well.
  /^claims\.client_field\b/,
];

/** Those of `changes` that need a restart. */
export function needingRestart(changes: readonly Change[], before: Snapshot, after: Snapshot): Change[] {
  const found = changes.filter(({ path }) => AT_START.some((pattern) => pattern.test(path)));
  // Reactors know listeners by their place.
  const [names, next] = [before, after].map(({ listeners }) => listeners.map(({ name }) => name));
  if (names?.toSorted().join() === next?.toSorted().join() && names?.join() !== next?.join())
    found.push({ path: 'listeners', before: names, after: next });
  // A file has the same name whatever it says.
  if (before.admin.token !== after.admin.token && !found.some(({ path }) => path.startsWith('admin.token')))
    found.push({ path: 'admin.token_file', before: 'the token as it was read', after: 'another token' });
  return found;
}
