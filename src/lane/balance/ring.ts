/**
 * A hash ring: every member has many points, and a key belongs to the member with the next point
 * (Karger et al., "Consistent Hashing and Random Trees", 1997; many points per member as in
 * Ketama). A member that joins or leaves moves its own keys and no others.
 */

import { Hash, scatter } from '../head/hash.ts';
import { BuiltTables } from './built-tables.ts';

/** Indices of members fit into the low bits of a number next to a point. */
const PLACES = 2 ** 20;

export class Ring {
  /** u32, ascending. */
  readonly points: Uint32Array;
  /** Index of the member of each point. */
  readonly owners: Uint32Array;

  constructor(points: Uint32Array, owners: Uint32Array) {
    this.points = points;
    this.owners = owners;
  }

  /** Index of the first point at or after `hash`, wrapping around. */
  find(hash: number): number {
    const { points } = this;
    let low = 0;
    let high = points.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (points[middle]! < hash) low = middle + 1;
      else high = middle;
    }
    return low === points.length ? 0 : low;
  }
}

/** The rings of this thread. */
export const RINGS: BuiltTables<Ring> = new BuiltTables(buildRing);

/**
 * Builds a ring on which a member of mean weight has about `size` points, and every member with
 * weight at least one.
 */
export function buildRing(names: readonly string[], weights: readonly number[], size: number): Ring {
  const unit = unitWeight(weights);
  const counts = weights.map((weight) => (weight <= 0 ? 0 : Math.max(1, Math.round((size * weight) / unit))));
  const keyed = new Float64Array(counts.reduce((sum, count) => sum + count, 0));
  const hash = new Hash();
  let at = 0;
  for (const [place, name] of names.entries()) {
    hash.ofText(name, 0, 0);
    // The points of a member do not depend on their number: more weight adds some, less removes the
    // last ones.
    for (let i = 0; i < counts[place]!; i++) keyed[at++] = scatter(hash.low + scatter(hash.high + i)) * PLACES + place;
  }
  keyed.sort();
  const ring = new Ring(new Uint32Array(at), new Uint32Array(at));
  for (let i = 0; i < at; i++) {
    const both = keyed[i]!;
    ring.points[i] = Math.floor(both / PLACES);
    ring.owners[i] = both % PLACES;
  }
  return ring;
}

/**
 * The weight that has `size` points: the power of two nearest to the mean. The mean itself would
 * move with every change of a weight, and all points with it.
 */
function unitWeight(weights: readonly number[]): number {
  const some = weights.filter((weight) => weight > 0);
  if (some.length === 0) return 1;
  const mean = some.reduce((sum, weight) => sum + weight, 0) / some.length;
  return 2 ** Math.round(Math.log2(mean));
}
