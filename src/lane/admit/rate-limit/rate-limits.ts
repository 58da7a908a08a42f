/**
 * The rate limits of a request: its tenant's and its route's. Local limits are charged at once. For
 * shared ones the store is asked first, while the exchange waits. If the store cannot answer, each
 * limit says what happens instead.
 */

import { reasonNumber } from '../../../base/errors.ts';
import { noteNumber } from '../../../base/notes.ts';
import { wordsOf } from '../../../base/views.ts';
import type { LaneSnapshot } from '../../../config/route-table.ts';
import type { RateLimitSnapshot } from '../../../config/snapshot/limit.ts';
import type { HeadReader } from '../../../record/read.ts';
import type { Subject } from '../../../record/write.ts';
import type { Client } from '../../head/client.ts';
import type { Key, KeySeed } from '../../head/key.ts';
import type { Lookups } from '../../head/lookups.ts';
import { ASKED_STORE } from '../../memo.ts';
import type { Observer } from '../../observer.ts';
import { PASSES, WAITS } from '../verdict.ts';
import { Charge } from './charge.ts';
import { Limit } from './limit.ts';
import { ALLOWED, NOT_ASKED, REFUSED, type SharedStore } from './shared-store.ts';
import { type LimitTable, REFUSING, regionOf, seedOf } from './table.ts';

const RATE_LIMITED = reasonNumber('rate_limited');
const NOT_AVAILABLE = reasonNumber('rate_limit_not_available');
const LIMIT_BEGAN = noteNumber('limit_began');
const LIMIT_ENDED = noteNumber('limit_ended');

/** A limit that refused nothing for this long has stopped limiting. */
const QUIET_MS = 5_000;

/** A limit with the key it counts by. */
export interface KeyedLimit {
  readonly limit: Limit;
  readonly key: Key;
  /** The key under which edges share the limit; undefined if they do not. */
  readonly sharedKey: Key | undefined;
}

export interface RateLimitsParts {
  readonly snapshot: LaneSnapshot;
  readonly table: SharedArrayBuffer;
  readonly limits: LimitTable;
  readonly observer: Observer;
  readonly lookups: Lookups;
  /** Undefined if no limit is shared. */
  readonly store: SharedStore | undefined;
}

export class RateLimits {
  /** The last refusal: the limit, and when a request would pass. */
  refusing: RateLimitSnapshot | undefined;
  waitMs = 0;

  /** By route, for routes that were asked for. Routes without limits share one empty list. */
  private readonly ofRoute: (readonly KeyedLimit[] | undefined)[];
  private readonly ofTenant: readonly (readonly KeyedLimit[])[];
  /** By number, those created so far. */
  private readonly all: (Limit | undefined)[];
  private readonly parts: RateLimitsParts;
  private readonly seed: KeySeed;
  private readonly observer: Observer;
  private readonly store: SharedStore | undefined;
  private readonly charge = new Charge();
  private isStoreNeeded = false;

  constructor(parts: RateLimitsParts) {
    const { snapshot, table, observer, store, limits } = parts;
    this.parts = parts;
    this.seed = seedOf(table);
    this.all = new Array<undefined>(limits.routes.length).fill(undefined);
    this.ofTenant = snapshot.tenants.map(({ rateLimits }, tenant) => this.make(rateLimits, limits.ofTenant[tenant]!));
    this.ofRoute = new Array<undefined>(snapshot.routes.length).fill(undefined);
    this.observer = observer;
    this.store = store;
    // A limit that refuses already is watched from the start, so that its end is reported even if
    // no request comes.
    const words = wordsOf(table);
    for (let number = 0; number < this.all.length; number++) {
      const route = limits.routes[number]!;
      if (route !== -1 && words[regionOf(limits, number).at + REFUSING] !== 0) this.limitsOf(route);
    }
  }

  isLimited(route: number, tenant: number): boolean {
    return this.limitsOf(route).length > 0 || (tenant !== -1 && this.ofTenant[tenant]!.length > 0);
  }

  private limitsOf(route: number): readonly KeyedLimit[] {
    return this.ofRoute[route] ?? this.makeOf(route);
  }

  private makeOf(route: number): readonly KeyedLimit[] {
    const { snapshot, limits } = this.parts;
    const first = limits.ofRoute[route]!;
    const made = first === limits.ofRoute[route + 1] ? NONE : this.make(snapshot.routes.at(route)!.rateLimits, first);
    this.ofRoute[route] = made;
    return made;
  }

  /** Creates the limits of one owner; the first has the number `first`. */
  private make(rateLimits: readonly RateLimitSnapshot[], first: number): readonly KeyedLimit[] {
    const { table, lookups, store, limits } = this.parts;
    return rateLimits.map((snapshot, place) => {
      const limit = new Limit(table, first + place, regionOf(limits, first + place), snapshot);
      this.all[first + place] = limit;
      const sharedKey =
        snapshot.isShared && store !== undefined ? lookups.key(snapshot.keys, 'all', store.seedOf(snapshot.name)) : undefined;
      return { limit, key: lookups.key(snapshot.keys, 'all', this.seed), sharedKey };
    });
  }

  /**
   * The verdict. An exchange that waits does so for the store's answer, at most `store.timeoutMs`.
   */
  admit(head: HeadReader, client: Client, route: number, tenant: number, subject: Subject, nowMs: number): number {
    const { charge, store } = this;
    const answer = store === undefined ? NOT_ASKED : this.answerOf(store, subject, nowMs);
    if (answer === REFUSED) return this.refuse(this.all[store!.refusing]!, store!.waitMs, nowMs);

    charge.begin();
    this.isStoreNeeded = false;
    let verdict = tenant === -1 ? PASSES : this.collect(this.ofTenant[tenant]!, answer, head, client, route, tenant, nowMs);
    if (verdict === PASSES) verdict = this.collect(this.limitsOf(route), answer, head, client, route, tenant, nowMs);
    if (verdict !== PASSES) return verdict;

    if (!this.isStoreNeeded) return charge.settle() ? PASSES : this.refuse(charge.refusing!, charge.waitMs, nowMs);
    // If a local limit refuses, the store need not be asked.
    if (!charge.fits()) return this.refuse(charge.refusing!, charge.waitMs, nowMs);
    subject.memo0 = (subject.memo0 | ASKED_STORE) >>> 0;
    store!.begin(subject.exchangeIndex, subject.exchangeGeneration);
    if (tenant !== -1) this.ask(this.ofTenant[tenant]!, head, client, route, tenant);
    this.ask(this.limitsOf(route), head, client, route, tenant);
    store!.send(nowMs);
    return WAITS;
  }

  /** Reports limits that have stopped refusing. */
  sweep(nowMs: number): void {
    for (const limit of this.all) {
      if (limit?.refusedNoMore(nowMs, QUIET_MS)) this.observer.noted(LIMIT_ENDED, -1, -1, limit.number, limit.snapshot.name);
    }
  }

  /** The store's answer for an exchange that asked. */
  private answerOf(store: SharedStore, subject: Subject, nowMs: number): number {
    if ((subject.memo0 & ASKED_STORE) === 0) return store.isMissed(nowMs) ? MISSED : NOT_ASKED;
    const answer = store.take(subject.exchangeIndex, subject.exchangeGeneration, nowMs);
    return answer === NOT_ASKED ? MISSED : answer;
  }

  /** Collects what is charged here. Limits of the store only set `isStoreNeeded`. */
  private collect(
    limits: readonly KeyedLimit[],
    answer: number,
    head: HeadReader,
    client: Client,
    route: number,
    tenant: number,
    nowMs: number,
  ): number {
    for (let i = 0; i < limits.length; i++) {
      const { limit, key, sharedKey } = limits[i]!;
      if (sharedKey !== undefined) {
        if (answer === ALLOWED) continue;
        if (answer === NOT_ASKED) {
          this.isStoreNeeded = true;
          continue;
        }
        const otherwise = limit.snapshot.onStoreFailure;
        if (otherwise === 'pass') continue;
        if (otherwise === 'refuse') {
          this.refusing = undefined;
          this.waitMs = 0;
          return NOT_AVAILABLE;
        }
      }
      const low = key.hash(head, client, tenant, route);
      this.charge.add(limit, limit.cell(low, key.high, nowMs));
    }
    return PASSES;
  }

  private ask(limits: readonly KeyedLimit[], head: HeadReader, client: Client, route: number, tenant: number): void {
    for (let i = 0; i < limits.length; i++) {
      const { limit, sharedKey } = limits[i]!;
      if (sharedKey === undefined) continue;
      const low = sharedKey.hash(head, client, tenant, route);
      this.store!.add(limit.number, limit.snapshot, low, sharedKey.high);
    }
  }

  private refuse(limit: Limit, waitMs: number, nowMs: number): number {
    this.refusing = limit.snapshot;
    this.waitMs = waitMs;
    if (limit.refused(nowMs)) this.observer.noted(LIMIT_BEGAN, -1, -1, limit.number, limit.snapshot.name);
    return RATE_LIMITED;
  }
}

/** The store did not answer, or is known to be unavailable. */
const MISSED = -1;

const NONE: readonly KeyedLimit[] = [];
