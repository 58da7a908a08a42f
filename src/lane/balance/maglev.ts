/**
 * Maglev (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", 2016,
 * §3.4): a table of prime size whose entries the members claim in turns, each by its own order of
 * preference. A look-up is one load, shares are nearly exact, and a member that leaves moves few
 * keys besides its own. If a key's member may not be picked, the key is looked up elsewhere in the
 * table, so that the keys of one member spread over all others. Load is not bounded here; use the
 * ring for that.
 */

import { Hash, scatter } from '../head/hash.ts';
import type { Random } from '../random.ts';
import { NO_MEMBER } from './balancer.ts';
import { BuiltTables } from './built-tables.ts';
import { Draw } from './draw.ts';
import type { Members } from './members.ts';
import type { Policy } from './policy.ts';

/** Look-ups before the members are scanned in order. */
const LOOKUPS = 16;

const EMPTY = 0xffff_ffff;

/** The tables of this thread: index of the member by entry. */
export const MAGLEV_TABLES: BuiltTables<Uint32Array> = new BuiltTables(buildMaglev);

export class Maglev implements Policy {
  /** How often the table was replaced. */
  rebuilds = 0;

  private readonly onBuilt: (() => void) | undefined;
  private readonly members: Members;
  private readonly draw: Draw;
  private readonly size: number;
  private table: Uint32Array;

  /** `size` must be prime. */
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

  /** A member in slow start gets its keys back one by one, each for good. */
  private isShareOf(place: number, key: number): boolean {
    const share = this.members.share(place);
    return share >= 1 || scatter(key + place) < share * 2 ** 32;
  }
}

/** Without it a hash of 0 would stay 0. */
const STEP = 0x9e37_79b9;

/** Builds a table of `size` entries; all empty if nobody has weight. */
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
  // By weight, a member claims an entry in every turn, every second one, and so on. The heaviest
  // never skips a turn.
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
