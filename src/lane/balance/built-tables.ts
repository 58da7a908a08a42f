/**
 * A cache of tables that are expensive to build and depend only on names, weights and a size: hash
 * rings and Maglev tables. If a reload leaves an upstream unchanged, a route uses the same subset,
 * or a weight is set back, the existing table is reused.
 */

import type { Members } from './members.ts';

/** Enough for the pools of a thread with a few changes of weight. The oldest is dropped first. */
const MAX_KEPT = 64;

export class BuiltTables<Table> {
  /** How many tables were built rather than reused. */
  builds = 0;

  private readonly build: (names: readonly string[], weights: readonly number[], size: number) => Table;
  private readonly kept = new Map<string, Table>();

  constructor(build: (names: readonly string[], weights: readonly number[], size: number) => Table) {
    this.build = build;
  }

  /**
   * The table for `members` with their current weights. `onBuilt` is called if it had to be built.
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
