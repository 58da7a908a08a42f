/**
 * Tables that are dear to build and depend on nothing but names, weights and a size: hash rings and
 * Maglev tables. A reload that leaves an upstream as it was, a route that takes the same subset and
 * a weight that goes back find the table that is there already.
 */

import type { Members } from './members.ts';

/** More than a thread's pools with a few changes of weight; the oldest goes first. */
const MAX_KEPT = 64;

export class BuiltTables<Table> {
  /** How many were built rather than found. */
  builds = 0;

  private readonly build: (names: readonly string[], weights: readonly number[], size: number) => Table;
  private readonly kept = new Map<string, Table>();

  constructor(build: (names: readonly string[], weights: readonly number[], size: number) => Table) {
    this.build = build;
  }

  /**
   * The table for `members` with their weights of now; `onBuilt` is called where it was not there.
   */
  of(members: Members, size: number, onBuilt?: () => void): Table {
    const weights = Array.from(members.weights);
    const key = `${size}\n${members.names.map((name, i) => `${name} ${weights[i]}`).join('\n')}`;
    const known = this.kept.get(key);
    this.kept.delete(key);
    const table = known ?? this.build(members.names, weights, size);
    if (known === undefined) {
      this.builds += 1;
      onBuilt?.();
    }
    this.kept.set(key, table);
    if (this.kept.size > MAX_KEPT) this.kept.delete(this.kept.keys().next().value as string);
    return table;
  }
}
