/**
 * Maglev (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", 2016,
 * §3.4): a table of prime size in which members take turns to fill the entries they prefer. A
 * look-up is one load, shares are nearly exact, and a member that goes moves few keys beside its
 * own.
 *
 * A key whose member may not be chosen is looked up again elsewhere in the table, so that the keys
 * of one spread over all others. The load is not bounded here; the ring does that.
 */

import { Hash, scatter } from '../head/hash.ts';
import type { Random } from '../random.ts';
import { NO_MEMBER } from './balancer.ts';
import { BuiltTables } from './built-tables.ts';
import { Draw } from './draw.ts';
import type { Members } from './members.ts';
import type { Policy } from './policy.ts';

/** Look-ups before the members are asked in order. */
const LOOKUPS = 16;

const EMPTY = 0xffff_ffff;

/** Tables of this thread: place of the member by entry. */
export const MAGLEV_TABLES: BuiltTables<Uint32Array> = new BuiltTables(buildMaglev);

export class Maglev implements Policy {
  /** How often the table was exchanged. */
  rebuilds = 0;

  private readonly onBuilt: (() => void) | undefined;
  private readonly members: Members;
  private readonly draw: Draw;
  private readonly size: number;
  private table: Uint32Array;

  /** `size` is a prime. */
  constructor(members: Members, random: Random, size: number, onBuilt?: () => void) {
    this.onBuilt = onBuilt;
    this.members = members;
    this.draw = new Draw(members, random, true);
    this.size = size;
    this.table = MAGLEV_TABLES.of(members, size, onBuilt);
  }

  pick(key: number, tried: number, failed: number, areAvoidedTaken: boolean): number {
    if (key === 0) return this.draw.pick(tried, failed, areAvoidedTaken, NO_MEMBER);
    const { members, table } = this;
    let found = NO_MEMBER;
    let hash = key;
    for (let i = 0; i < LOOKUPS; i++) {
      const place = table[hash % this.size]!;
      if (place === EMPTY) return NO_MEMBER;
      if (members.isEligible(place, tried, failed, areAvoidedTaken)) {
        if (this.isShareOf(place, key)) return place;
        if (found === NO_MEMBER) found = place;
      }
      hash = scatter(hash + STEP);
    }
    return found === NO_MEMBER ? members.eligibleFrom(hash % members.count, tried, failed, areAvoidedTaken) : found;
  }

  reweigh(): void {
    this.draw.reweigh();
    this.table = MAGLEV_TABLES.of(this.members, this.size, this.onBuilt);
    this.rebuilds += 1;
  }

  /** A member that starts slowly gets its keys back one after the other, each for good. */
  private isShareOf(place: number, key: number): boolean {
    const share = this.members.share(place);
    return share >= 1 || scatter(key + place) < share * 2 ** 32;
  }
}

/** Keeps a hash of 0 from standing still. */
const STEP = 0x9e37_79b9;

/** The table of `size` entries; all empty where nobody has weight. */
export function buildMaglev(names: readonly string[], weights: readonly number[], size: number): Uint32Array {
  const table = new Uint32Array(size).fill(EMPTY);
  const heaviest = Math.max(0, ...weights);
  if (heaviest === 0) return table;
  const hash = new Hash();
  const next = new Float64Array(names.length);
  const skip = new Float64Array(names.length);
  for (const [place, name] of names.entries()) {
    hash.ofText(name, 0, 0);
    next[place] = hash.low % size;
    skip[place] = (hash.high % (size - 1)) + 1;
  }
  // By weight a member takes each turn, every second one, and so on: the heaviest never waits.
  const turns = new Float64Array(names.length);
  for (let filled = 0; ; ) {
    for (let place = 0; place < names.length; place++) {
      turns[place] = turns[place]! + weights[place]! / heaviest;
      if (turns[place]! < 1) continue;
      turns[place] = turns[place]! - 1;
      let entry = next[place]!;
      while (table[entry] !== EMPTY) entry = (entry + skip[place]!) % size;
      table[entry] = place;
      next[place] = (entry + skip[place]!) % size;
      filled += 1;
      if (filled === size) return table;
    }
  }
}
