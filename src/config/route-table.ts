/**
 * Routes in shared memory: what the main thread has as objects, packed once for all shards. Every
 * value is written once, as JSON, however many routes have it; a route is a row of places, 4 bytes
 * for each of its keys. A shard makes the object of a route when it is first asked for one.
 */

import type { MatchSnapshot } from './snapshot/match.ts';
import type { RouteSnapshot } from './snapshot/route.ts';
import type { Snapshot } from './snapshot/snapshot.ts';

/** Routes by number: a list of objects, or a table of them. */
export interface RouteList {
  readonly length: number;
  at(number: number): RouteSnapshot | undefined;
  /** What a route is called, where that can be told without making it. */
  name?(number: number): string;
}

/** What route `number` is called; there must be one. */
export function nameOf(routes: RouteList, number: number): string {
  return routes.name?.(number) ?? routes.at(number)!.name;
}

/** What shards decide by; a snapshot is one as well. */
export type LaneSnapshot = Omit<Snapshot, 'routes'> & { readonly routes: RouteList };

/** What can be posted. */
export interface PackedRoutes {
  /** Places of values, row by row. */
  readonly rows: Uint32Array;
  /** JSON of all values, one behind the other. */
  readonly text: Uint8Array;
  /** By value, where its text ends. */
  readonly ends: Uint32Array;
}

/**
 * Keys of a row. A key that is left out here would be lost on the way, so the types see to it that
 * none is.
 */
const ROUTE_KEYS = Object.keys({
  name: 0,
  targets: 0,
  redirect: 0,
  fixed: 0,
  splitKeys: 0,
  fallback: 0,
  fallbackOn: 0,
  connectTimeoutMs: 0,
  placeTimeoutMs: 0,
  headTimeoutMs: 0,
  idleTimeoutMs: 0,
  exchangeTimeoutMs: 0,
  attemptTimeoutMs: 0,
  deadlineHeader: 0,
  isGrpcTimeoutObeyed: 0,
  maxBodyBytes: 0,
  retries: 0,
  hedge: 0,
  rateLimits: 0,
  access: 0,
  bulkhead: 0,
  priority: 0,
  path: 0,
  requestEdits: 0,
  responseEdits: 0,
  isRequestIdKept: 0,
  forwarded: 0,
  forwardedTrusted: 0,
  hostPolicy: 0,
  isPathCanonical: 0,
  host: 0,
  via: 0,
} satisfies Record<Exclude<keyof RouteSnapshot, 'match'>, 0>) as Exclude<keyof RouteSnapshot, 'match'>[];

const MATCH_KEYS = Object.keys({
  host: 0,
  path: 0,
  pathKind: 0,
  methods: 0,
  headers: 0,
  query: 0,
  cookies: 0,
  networks: 0,
  tenant: 0,
  certificate: 0,
} satisfies Record<keyof MatchSnapshot, 0>) as (keyof MatchSnapshot)[];

const ROW = ROUTE_KEYS.length + MATCH_KEYS.length;
/** Place of what is undefined, which JSON has no word for. */
const NOTHING = 0;
const NAME = ROUTE_KEYS.indexOf('name');

export function packRoutes(routes: readonly RouteSnapshot[]): PackedRoutes {
  const rows = new Uint32Array(new SharedArrayBuffer(routes.length * ROW * Uint32Array.BYTES_PER_ELEMENT));
  const values = new Values();
  let at = 0;
  for (const route of routes) {
    for (const key of ROUTE_KEYS) rows[at++] = values.place(route[key]);
    for (const key of MATCH_KEYS) rows[at++] = values.place(route.match[key]);
  }
  return { rows, ...values.pack() };
}

/** Values by place, each once. */
class Values {
  private readonly texts: string[] = [''];
  /** By the text, and by the object or whatever else it is. */
  private readonly ofText = new Map<string, number>();
  private readonly known = new Map<unknown, number>([[undefined, NOTHING]]);

  place(value: unknown): number {
    const known = this.known.get(value);
    if (known !== undefined) return known;
    const text = JSON.stringify(value);
    const place = this.ofText.get(text) ?? this.texts.push(text) - 1;
    this.ofText.set(text, place);
    this.known.set(value, place);
    return place;
  }

  pack(): Pick<PackedRoutes, 'text' | 'ends'> {
    const all = Buffer.from(this.texts.join(''), 'utf8');
    const text = new Uint8Array(new SharedArrayBuffer(all.length));
    text.set(all);
    const ends = new Uint32Array(new SharedArrayBuffer(this.texts.length * Uint32Array.BYTES_PER_ELEMENT));
    let end = 0;
    for (const [place, one] of this.texts.entries()) {
      end += Buffer.byteLength(one, 'utf8');
      ends[place] = end;
    }
    return { text, ends };
  }
}

/** A shard's view of packed routes. What several routes have in common is one object, as it was. */
export class RouteTable implements RouteList {
  readonly length: number;
  private readonly rows: Uint32Array;
  private readonly text: Buffer;
  private readonly ends: Uint32Array;
  /** Values that were asked for. */
  private readonly values: unknown[];

  constructor({ rows, text, ends }: PackedRoutes) {
    this.length = rows.length / ROW;
    this.rows = rows;
    this.text = Buffer.from(text.buffer, text.byteOffset, text.byteLength);
    this.ends = ends;
    this.values = new Array<undefined>(ends.length).fill(undefined);
  }

  /** A new object each time. */
  at(number: number): RouteSnapshot | undefined {
    if (number < 0 || number >= this.length) return undefined;
    let at = number * ROW;
    const route: Record<string, unknown> = {};
    for (const key of ROUTE_KEYS) route[key] = this.value(this.rows[at++]!);
    const match: Record<string, unknown> = {};
    for (const key of MATCH_KEYS) match[key] = this.value(this.rows[at++]!);
    route['match'] = match;
    return route as unknown as RouteSnapshot;
  }

  /** What it is called. */
  name(number: number): string {
    return this.read(this.rows[number * ROW + NAME]!) as string;
  }

  private value(place: number): unknown {
    if (place === NOTHING) return undefined;
    this.values[place] ??= this.read(place);
    return this.values[place];
  }

  private read(place: number): unknown {
    return JSON.parse(this.text.toString('utf8', this.ends[place - 1], this.ends[place]));
  }
}
