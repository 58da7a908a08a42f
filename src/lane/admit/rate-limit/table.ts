/**
 * Buckets of rate limits in shared memory: a region a limit, in it sets of cells in which a key is
 * looked for. A limit holds as many keys as it was given; when a set is full the key that was
 * unused longest is forgotten, which can only be to its advantage.
 *
 * Int32 words. The table begins with a line of its own: a bit for each shard that cannot reach the
 * store, and the seed of keys. A region begins with a line too: whether the limit refuses, when it
 * last did, how often, keys held. A cell is four words: 64 bits of the key's hash, the time at
 * which its bucket is full again, when it was last used.
 */

import { inSharedMemory } from '../../../base/views.ts';
import type { LaneSnapshot } from '../../../config/route-table.ts';
import type { RateLimitSnapshot } from '../../../config/snapshot/limit.ts';
import type { KeySeed } from '../../head/key.ts';
import { maxFieldBytes } from './answer-fields.ts';

/** Word of the table: a bit for each shard that misses the store. */
export const STORE_LOST = 0;
/** Two random words, so that nobody outside can look for keys that share a cell. */
const SEED = 1;

/** Words of a region's first line. */
export const REFUSING = 0;
export const REFUSED_AT_MS = 1;
export const REFUSED = 2;
export const HELD = 3;

/** Words of a cell. */
export const CELL_WORDS = 4;
export const TAG_LOW = 0;
export const TAG_HIGH = 1;
export const FULL_AT = 2;
export const USED_AT_MS = 3;

/** Cells that a key may lie in: two cache lines. */
const WAYS = 8;

const LINE = 16;

/** A limit, and whose it is. */
export interface OwnedLimit {
  readonly limit: RateLimitSnapshot;
  readonly owner: 'route' | 'tenant';
  /** Place of the owner in its list. */
  readonly of: number;
}

/** What of a snapshot has limits. */
export interface LimitSource {
  readonly routes: readonly { readonly rateLimits: readonly RateLimitSnapshot[] }[];
  readonly tenants: readonly { readonly rateLimits: readonly RateLimitSnapshot[] }[];
}

/** Every limit of a snapshot; its place here is its number in events. */
export function listLimits({ routes, tenants }: LimitSource): readonly OwnedLimit[] {
  const ofTenants = tenants.flatMap(({ rateLimits }, of) => rateLimits.map((limit): OwnedLimit => ({ limit, owner: 'tenant', of })));
  const ofRoutes = routes.flatMap(({ rateLimits }, of) => rateLimits.map((limit): OwnedLimit => ({ limit, owner: 'route', of })));
  return [...ofTenants, ...ofRoutes];
}

/** Where the buckets of a limit lie. */
export interface Region {
  /** Word of its first line; cells begin one line later. */
  readonly at: number;
  readonly ways: number;
  readonly sets: number;
}

/**
 * Regions of all limits, in shared memory, for lanes that make a limit when the first request comes
 * to it.
 */
export interface LimitTable {
  /** By number of the limit: first word, ways, sets. */
  readonly regions: Int32Array;
  /** By owner, the number of its first limit, and once behind the last. */
  readonly ofTenant: Int32Array;
  readonly ofRoute: Int32Array;
  /** By number of the limit, its route; -1 for those of tenants. */
  readonly routes: Int32Array;
  readonly isShared: boolean;
  /** Bytes that their fields add to an answer, at most. */
  readonly maxFieldBytes: number;
}

const REGION_WORDS = 3;

export function tableOfLimits(snapshot: Pick<LaneSnapshot, 'routes' | 'tenants'>): LimitTable {
  const { routes, tenants } = snapshot;
  const ofTenant = new Int32Array(tenants.length + 1);
  const ofRoute = new Int32Array(routes.length + 1);
  const limits: OwnedLimit[] = [];
  for (const [of, { rateLimits }] of tenants.entries()) {
    for (const limit of rateLimits) limits.push({ limit, owner: 'tenant', of });
    ofTenant[of + 1] = limits.length;
  }
  ofRoute[0] = limits.length;
  for (let of = 0; of < routes.length; of++) {
    for (const limit of routes.at(of)!.rateLimits) limits.push({ limit, owner: 'route', of });
    ofRoute[of + 1] = limits.length;
  }
  const regions = new Int32Array(limits.length * REGION_WORDS);
  for (const [number, { at, ways, sets }] of regionsOf(limits).regions.entries()) regions.set([at, ways, sets], number * REGION_WORDS);
  return {
    regions: inSharedMemory(regions),
    ofTenant: inSharedMemory(ofTenant),
    ofRoute: inSharedMemory(ofRoute),
    routes: inSharedMemory(Int32Array.from(limits, ({ owner, of }) => (owner === 'route' ? of : -1))),
    isShared: limits.some(({ limit }) => limit.isShared),
    maxFieldBytes: maxFieldBytes(limits.map(({ limit }) => limit)),
  };
}

/** The region of limit `number`. */
export function regionOf({ regions }: LimitTable, number: number): Region {
  const at = number * REGION_WORDS;
  return { at: regions[at]!, ways: regions[at + 1]!, sets: regions[at + 2]! };
}

export function regionsOf(limits: readonly OwnedLimit[]): { readonly regions: readonly Region[]; readonly words: number } {
  let at = LINE;
  const regions = limits.map(({ limit }) => {
    const keys = limit.keys.length === 0 ? 1 : Math.max(1, limit.maxKeys);
    const ways = Math.min(WAYS, keys);
    const region = { at, ways, sets: Math.floor(keys / ways) };
    at += LINE + Math.ceil((region.sets * ways * CELL_WORDS) / LINE) * LINE;
    return region;
  });
  return { regions, words: at };
}

/** First cell of a region. */
export function cellsOf(region: Region): number {
  return region.at + LINE;
}

/** Room for the buckets of every limit of `snapshot`. */
export function createBucketTable(snapshot: LimitSource): SharedArrayBuffer {
  const table = new SharedArrayBuffer(regionsOf(listLimits(snapshot)).words * 4);
  crypto.getRandomValues(new Uint8Array(8)).forEach((byte, i) => {
    new Uint8Array(table)[SEED * 4 + i] = byte;
  });
  return table;
}

/** A snapshot and its table. */
export interface BucketState {
  readonly snapshot: LimitSource;
  readonly buckets: SharedArrayBuffer;
}

/**
 * Takes the buckets of limits over into the table of the next snapshot: of each that is there under
 * the same name and of the same owner, and counts the same keys at the same rate. What is charged
 * in the old table meanwhile is charged to nobody. Keys must have the same seed to be found again,
 * so that is taken over as well.
 */
export function carryBuckets(from: BucketState, to: BucketState): void {
  const [before, after] = [new Int32Array(from.buckets), new Int32Array(to.buckets)];
  after.set(before.subarray(0, LINE));
  const known = listLimits(from.snapshot);
  const { regions: knownRegions } = regionsOf(known);
  const places = new Map(known.map((one, number) => [bucketKey(one), number]));
  const limits = listLimits(to.snapshot);
  const { regions } = regionsOf(limits);
  for (const [number, one] of limits.entries()) {
    const place = places.get(bucketKey(one));
    if (place === undefined) continue;
    const { at, ways, sets } = regions[number]!;
    const source = knownRegions[place]!;
    if (source.ways !== ways || source.sets !== sets) continue;
    after.set(before.subarray(source.at, source.at + LINE + sets * ways * CELL_WORDS), at);
  }
}

/** The same text for limits whose buckets mean the same. */
function bucketKey({ owner, of, limit: { name, keys, requests, periodMs, burst } }: OwnedLimit): string {
  return JSON.stringify([owner, of, name, keys, requests, periodMs, burst]);
}

/** The seed of the keys of a table, the same for all shards. */
export function seedOf(table: SharedArrayBuffer): KeySeed {
  const words = new Uint32Array(table);
  return { low: words[SEED]!, high: words[SEED + 1]! };
}
