/**
 * Phase 7, admit: who may enter, how many at a time, how many per second.
 *
 * Admission runs in two steps. `admit` runs before the upstream is known: access lists, rate
 * limits, places of the tenant and the route. `admitTo` runs when it is known: the upstream's
 * places and its concurrency limit. The memo records what an exchange took, and `completed` gives
 * it back. A route, tenant or upstream without limits has no gate, so its requests only pay for one
 * look-up.
 */

import { reasonNumber } from '../../base/errors.ts';
import { noteNumber } from '../../base/notes.ts';
import type { Steps } from '../../base/steps.ts';
import type { LaneSnapshot } from '../../config/route-table.ts';
import type { RateLimitSnapshot } from '../../config/snapshot/limit.ts';
import { NONE } from '../../record/layout.ts';
import type { CompletionReader, HeadReader } from '../../record/read.ts';
import type { Answer, DecisionWriter, Subject } from '../../record/write.ts';
import type { Client } from '../head/client.ts';
import type { Lookups } from '../head/lookups.ts';
import {
  ASKED_STORE,
  HOLDS_ROUTE,
  HOLDS_TENANT,
  HOLDS_UPSTREAM,
  IS_LET_IN,
  memoLife,
  memoTenant,
  QUEUES_ROUTE,
  QUEUES_UPSTREAM,
  withLife,
} from '../memo.ts';
import type { Observer } from '../observer.ts';
import type { Random } from '../random.ts';
import type { SharedState } from '../shared.ts';
import type { LaneTables } from '../tables.ts';
import { Gates, type RouteGate, type TenantGate } from './gates.ts';
import type { Lives } from './life.ts';
import type { OverloadGuard } from './overload/guard.ts';
import type { Bulkhead } from './queue/bulkhead.ts';
import { rateLimitFields, retryAfterFields } from './rate-limit/answer-fields.ts';
import { RateLimits } from './rate-limit/rate-limits.ts';
import { RedisStore } from './rate-limit/redis/redis-store.ts';
import type { SharedStore } from './rate-limit/shared-store.ts';
import { PASSES, WAITS } from './verdict.ts';

const ACCESS_DENIED = reasonNumber('access_denied');
const RATE_LIMIT_NOT_AVAILABLE = reasonNumber('rate_limit_not_available');
const ROUTE_FULL = reasonNumber('route_full');
const UPSTREAM_FULL = reasonNumber('upstream_full');
const TENANT_FULL = reasonNumber('tenant_full');
const CONCURRENCY_LIMITED = reasonNumber('concurrency_limited');
const QUEUE_TIMEOUT = reasonNumber('queue_timeout');
const QUEUED_NOTE = noteNumber('queued');

/** What an exchange may hold or wait for. */
const HELD = HOLDS_ROUTE | HOLDS_UPSTREAM | HOLDS_TENANT | QUEUES_ROUTE | QUEUES_UPSTREAM;
/** What does not survive the worker that took it. */
const OF_A_LIFE = QUEUES_ROUTE | QUEUES_UPSTREAM | ASKED_STORE;
const COUNTED = HELD | ASKED_STORE;
/** Interval of the check whether limiting and shedding have ended. */
const SWEEP_MS = 1_000;
const NO_UPSTREAM = -1;
const NO_LIMIT = Number.MAX_SAFE_INTEGER;

export interface AdmissionParts {
  readonly snapshot: LaneSnapshot;
  readonly tables: Pick<LaneTables, 'gates' | 'limits'>;
  readonly shared: SharedState;
  readonly observer: Observer;
  readonly random: Random;
  readonly writer: DecisionWriter;
  /** Makes the reactor read what was written between its turns: answers of a store arrive there. */
  readonly kick: () => void;
  readonly lookups: Lookups;
  readonly lives: Lives;
  readonly nowMs: number;
}

/** Connects to a store only if some limit is shared. */
function storeOf({ snapshot, tables, shared, writer, kick, observer, lives }: AdmissionParts): SharedStore | undefined {
  if (snapshot.store === undefined || !tables.limits.isShared) return undefined;
  return new RedisStore({ snapshot: snapshot.store, writer, kick, observer, table: shared.buckets, shard: lives.shard });
}

export class Admission {
  /** Milliseconds, read once per turn. */
  nowMs = 0;
  /** Upper bound for the bytes that `takeAnswerFields` adds to an answer. */
  readonly maxFieldBytes: number;

  private readonly gates: Gates;
  private readonly rates: RateLimits;
  private readonly isRated: boolean;
  private readonly store: SharedStore | undefined;
  private readonly observer: Observer;
  private readonly random: Random;
  private readonly writer: DecisionWriter;
  private readonly life: number;
  private nextSweepMs = 0;

  /** The exchange that was refused last, and what its answer will say. */
  private refusedIndex = -1;
  private refusedGeneration = 0;
  private retryMs = 0;
  private refusedBy: RateLimitSnapshot | undefined;

  /** Upstream by upstream. */
  static *compile(parts: AdmissionParts): Steps<Admission> {
    const { snapshot, tables, shared, lives } = parts;
    // First, because gates ask what earlier lives took.
    const life = lives.of(shared.places, snapshot);
    return new Admission(parts, life, yield* Gates.compile({ ...parts, gates: tables.gates, table: shared.places }));
  }

  private constructor(parts: AdmissionParts, life: number, gates: Gates) {
    const { snapshot, tables, shared, writer, observer, lookups } = parts;
    this.gates = gates;
    this.life = life;
    // Each lane has a connection of its own, because a lane of a replaced snapshot ends its
    // connection when it has no more questions.
    this.store = storeOf(parts);
    this.rates = new RateLimits({ snapshot, table: shared.buckets, observer, lookups, store: this.store, limits: tables.limits });
    this.isRated = tables.limits.routes.length > 0;
    this.maxFieldBytes = tables.limits.maxFieldBytes;
    this.observer = observer;
    this.random = parts.random;
    this.writer = writer;
  }

  /** Begins a turn. */
  begin(nowMs: number): void {
    this.nowMs = nowMs;
    if (this.gates.owed.length > 0) this.gates.grantOwed(nowMs);
    if (nowMs >= this.nextSweepMs) this.sweep();
  }

  /**
   * Fields for the answer to the last refusal of `subject` (Retry-After, RateLimit). They are given
   * once; the next call returns none.
   */
  takeAnswerFields(subject: Subject): Answer['fields'] {
    if (this.refusedIndex !== subject.exchangeIndex || this.refusedGeneration !== subject.exchangeGeneration) return [];
    this.refusedIndex = -1;
    return this.refusedBy === undefined ? retryAfterFields(this.retryMs) : rateLimitFields(this.refusedBy, this.retryMs);
  }

  /**
   * The verdict before the upstream is known. Notes the places taken in the memo of `subject`. If
   * the exchange has to wait, this writes the Wait record and the decision is over.
   */
  admit(head: HeadReader, client: Client, route: number, tenant: number, subject: Subject): number {
    const gate = this.gates.ofRoute(route);
    const tenantGate = tenant === -1 ? undefined : this.gates.tenants[tenant];
    if (gate === undefined && tenantGate === undefined) return PASSES;
    if (memoLife(subject.memo2) !== this.life) this.adopt(subject, route, NO_UPSTREAM);
    if ((subject.memo0 & IS_LET_IN) === 0) {
      const verdict = this.letIn(head, client, gate, route, tenant, subject);
      if (verdict !== PASSES) return verdict;
    }
    if (tenantGate?.place !== undefined && (subject.memo0 & HOLDS_TENANT) === 0) {
      if (!tenantGate.place.take(tenantGate.max)) return this.refuseTenant(subject, tenantGate);
      subject.memo0 = (subject.memo0 | HOLDS_TENANT) >>> 0;
    }
    return gate?.bulkhead === undefined ? PASSES : this.enterRoute(gate.bulkhead, subject);
  }

  /**
   * The verdict once the upstream is known. Without `mayWait` (after a failed attempt) a full
   * upstream refuses at once.
   */
  admitTo(upstream: number, route: number, subject: Subject, mayWait: boolean): number {
    const guard = this.gates.guards[upstream];
    if (guard !== undefined) return this.passGuard(guard, upstream, route, subject, mayWait);
    const gate = this.gates.upstreams[upstream];
    if (gate === undefined) return PASSES;
    if (memoLife(subject.memo2) !== this.life) this.adopt(subject, route, upstream);
    if ((subject.memo0 & HOLDS_UPSTREAM) !== 0) return PASSES;
    const hasQueued = (subject.memo0 & QUEUES_UPSTREAM) !== 0;
    const verdict = gate.enter(subject, this.gates.priorityOf(route), this.nowMs, mayWait);
    if (verdict === PASSES) {
      subject.memo0 = ((subject.memo0 & ~QUEUES_UPSTREAM) | HOLDS_UPSTREAM) >>> 0;
      return PASSES;
    }
    if (verdict === WAITS) {
      if (!hasQueued) this.observer.noted(QUEUED_NOTE, upstream, -1, UPSTREAM_FULL);
      subject.memo0 = (subject.memo0 | QUEUES_UPSTREAM) >>> 0;
      this.writer.wait(subject, gate.bulkhead.waitMs, QUEUE_TIMEOUT);
      return WAITS;
    }
    subject.memo0 = (subject.memo0 & ~QUEUES_UPSTREAM) >>> 0;
    return this.refuse(subject, verdict, gate.bulkhead.expectedMs());
  }

  /** The usual case: the guard has no limit and only counts. */
  private passGuard(guard: OverloadGuard, upstream: number, route: number, subject: Subject, mayWait: boolean): number {
    const life = memoLife(subject.memo2);
    if (life === 0) subject.memo2 = withLife(subject.memo2, this.life);
    else if (life !== this.life) this.adopt(subject, route, upstream);
    const { memo0 } = subject;
    if ((memo0 & HOLDS_UPSTREAM) !== 0) return PASSES;
    if ((memo0 & QUEUES_UPSTREAM) === 0 && guard.queue.isOpen) {
      guard.queue.enter(this.nowMs);
      subject.memo0 = (memo0 | HOLDS_UPSTREAM) >>> 0;
      return PASSES;
    }
    const verdict = guard.enter(subject, this.gates.priorityOf(route), this.nowMs, mayWait);
    if (verdict === WAITS) {
      if ((memo0 & QUEUES_UPSTREAM) === 0) this.observer.noted(QUEUED_NOTE, upstream, -1, CONCURRENCY_LIMITED);
      subject.memo0 = (memo0 | QUEUES_UPSTREAM) >>> 0;
      this.writer.wait(subject, guard.waitMs, QUEUE_TIMEOUT);
      return WAITS;
    }
    subject.memo0 = (memo0 & ~QUEUES_UPSTREAM) >>> 0;
    if (verdict !== PASSES) return this.refuse(subject, verdict, guard.expectedMs());
    subject.memo0 = (subject.memo0 | HOLDS_UPSTREAM) >>> 0;
    return PASSES;
  }

  /**
   * Returns what the memo holds, for an exchange that is answered without an attempt, or, with
   * `isUpstreamOnly`, that moves to another upstream.
   */
  release(subject: Subject, route: number, upstream: number, isUpstreamOnly: boolean): void {
    const held = isUpstreamOnly ? HOLDS_UPSTREAM : HELD;
    if ((subject.memo0 & held) === 0) return;
    const tenant = memoTenant(subject.memo2);
    if (memoLife(subject.memo2) === this.life) {
      if ((subject.memo0 & HOLDS_UPSTREAM) !== 0) this.gates.guards[upstream]?.giveBack(this.nowMs);
      this.giveBack(subject.memo0 & held, route, upstream, tenant, -1);
    } else this.giveBackEarlier(subject.memo0 & held, route, upstream, tenant);
    subject.memo0 = (subject.memo0 & ~held) >>> 0;
  }

  /**
   * The exchange moves to another upstream: it leaves the queue of the old one, or returns its
   * place.
   */
  forsake(subject: Subject, route: number, upstream: number): void {
    const gate = this.gates.upstreams[upstream];
    const { memo0, memo1, memo2, exchangeIndex, exchangeGeneration } = subject;
    if ((memo0 & QUEUES_UPSTREAM) !== 0 && memoLife(memo2) === this.life) {
      gate?.bulkhead.abandon(exchangeIndex, exchangeGeneration, memo1, this.gates.priorityOf(route), gate.limit, this.nowMs);
      this.gates.guards[upstream]?.abandon(exchangeIndex, exchangeGeneration, memo1, this.gates.priorityOf(route), this.nowMs);
    }
    this.release(subject, route, upstream, true);
    subject.memo0 = (subject.memo0 & ~QUEUES_UPSTREAM) >>> 0;
  }

  /** An exchange ended: returns its places, records its latency and wakes those who wait. */
  completed(completion: CompletionReader, route: number, upstream: number): void {
    const { memo0, memo2 } = completion;
    if ((memo0 & HOLDS_UPSTREAM) !== 0) {
      const guard = this.gates.guards[upstream];
      if (guard === undefined) this.gates.upstreams[upstream]?.learn(completion, this.nowMs, this.random.next());
      else {
        if (memoLife(memo2) === this.life) guard.completed(completion, this.nowMs);
        if ((memo0 & COUNTED) === HOLDS_UPSTREAM) return;
      }
    }
    if ((memo0 & COUNTED) === 0) return;
    if (memoLife(memo2) !== this.life) {
      this.giveBackEarlier(memo0, route, upstream, memoTenant(memo2));
      return;
    }
    if ((memo0 & (QUEUES_ROUTE | QUEUES_UPSTREAM | ASKED_STORE)) !== 0) this.abandoned(completion, route, upstream);
    const heldUs = completion.slot === NONE ? -1 : Math.max(0, completion.totalUs - completion.decideUs);
    this.giveBack(memo0, route, upstream, memoTenant(memo2), heldUs);
  }

  /** Stops asking the store. */
  close(): void {
    this.store?.close();
  }

  /** Checks the access list and the rate limits, once per exchange. */
  private letIn(head: HeadReader, client: Client, gate: RouteGate | undefined, route: number, tenant: number, subject: Subject): number {
    const hasAsked = (subject.memo0 & ASKED_STORE) !== 0;
    if (!hasAsked && gate?.access !== undefined && !gate.access.admits(head, client)) return ACCESS_DENIED;
    // A request that will find no place is not charged.
    const tenantGate = tenant === -1 ? undefined : this.gates.tenants[tenant];
    if (tenantGate?.place !== undefined && tenantGate.place.inFlight >= tenantGate.max) return this.refuseTenant(subject, tenantGate);
    if (gate?.bulkhead?.isFull === true) {
      gate.bulkhead.place.refused();
      return this.refuse(subject, ROUTE_FULL, gate.bulkhead.expectedMs());
    }
    if (this.isRated && this.rates.isLimited(route, tenant)) {
      const verdict = this.rates.admit(head, client, route, tenant, subject, this.nowMs);
      if (verdict === WAITS) {
        this.writer.wait(subject, this.store!.timeoutMs, RATE_LIMIT_NOT_AVAILABLE);
        return WAITS;
      }
      if (verdict !== PASSES) {
        this.refuse(subject, verdict, this.rates.waitMs);
        this.refusedBy = this.rates.refusing;
        return verdict;
      }
    }
    subject.memo0 = (subject.memo0 | IS_LET_IN) >>> 0;
    return PASSES;
  }

  private refuseTenant(subject: Subject, { place, max }: TenantGate): number {
    place?.refused();
    return this.refuse(subject, TENANT_FULL, (place?.heldMs ?? 0) / max);
  }

  private enterRoute(bulkhead: Bulkhead, subject: Subject): number {
    if ((subject.memo0 & HOLDS_ROUTE) !== 0) return PASSES;
    const hasQueued = (subject.memo0 & QUEUES_ROUTE) !== 0;
    const verdict = hasQueued
      ? bulkhead.enterAgain(subject, 0, NO_LIMIT, this.nowMs, true)
      : bulkhead.enter(subject, 0, NO_LIMIT, this.nowMs, true);
    if (verdict === PASSES) {
      subject.memo0 = ((subject.memo0 & ~QUEUES_ROUTE) | HOLDS_ROUTE) >>> 0;
      return PASSES;
    }
    if (verdict === WAITS) {
      if (!hasQueued) this.observer.noted(QUEUED_NOTE, -1, -1, ROUTE_FULL);
      subject.memo0 = (subject.memo0 | QUEUES_ROUTE) >>> 0;
      this.writer.wait(subject, bulkhead.waitMs, QUEUE_TIMEOUT);
      return WAITS;
    }
    subject.memo0 = (subject.memo0 & ~QUEUES_ROUTE) >>> 0;
    return this.refuse(subject, verdict, bulkhead.expectedMs());
  }

  /**
   * Adopts an exchange that an earlier worker let in: it keeps its places but has lost its position
   * in the queue.
   */
  private adopt(subject: Subject, route: number, upstream: number): void {
    const held = subject.memo0;
    if (memoLife(subject.memo2) !== 0) {
      if ((held & HOLDS_ROUTE) !== 0) this.gates.ofRoute(route)?.bulkhead?.place.adopt();
      if ((held & HOLDS_TENANT) !== 0) this.gates.tenants[memoTenant(subject.memo2)]?.place?.adopt();
      if ((held & HOLDS_UPSTREAM) !== 0) this.gates.upstreams[upstream]?.bulkhead.place.adopt();
    }
    subject.memo0 = (held & ~OF_A_LIFE) >>> 0;
    subject.memo2 = withLife(subject.memo2, this.life);
  }

  /**
   * The exchange ended while it waited: it leaves the queue, or passes on the place that was
   * granted to it.
   */
  private abandoned(completion: CompletionReader, route: number, upstream: number): void {
    const { memo0, memo1, exchangeIndex, exchangeGeneration } = completion;
    if ((memo0 & QUEUES_ROUTE) !== 0)
      this.gates.ofRoute(route)?.bulkhead?.abandon(exchangeIndex, exchangeGeneration, memo1, 0, NO_LIMIT, this.nowMs);
    if ((memo0 & QUEUES_UPSTREAM) !== 0) {
      const gate = this.gates.upstreams[upstream];
      gate?.bulkhead.abandon(exchangeIndex, exchangeGeneration, memo1, this.gates.priorityOf(route), gate.limit, this.nowMs);
      this.gates.guards[upstream]?.abandon(exchangeIndex, exchangeGeneration, memo1, this.gates.priorityOf(route), this.nowMs);
    }
    if ((memo0 & ASKED_STORE) !== 0) this.store?.forget(exchangeIndex, exchangeGeneration);
  }

  /**
   * Returns the places named by the bits of `held`. `heldUs` is how long they were held, -1 if that
   * says nothing about the backend.
   */
  private giveBack(held: number, route: number, upstream: number, tenant: number, heldUs: number): void {
    if ((held & HOLDS_UPSTREAM) !== 0) {
      const gate = this.gates.upstreams[upstream];
      if (heldUs >= 0) gate?.bulkhead.place.held(heldUs);
      gate?.bulkhead.giveBack(gate.limit, this.nowMs);
    }
    if ((held & HOLDS_ROUTE) !== 0) {
      const bulkhead = this.gates.ofRoute(route)?.bulkhead;
      if (heldUs >= 0) bulkhead?.place.held(heldUs);
      bulkhead?.giveBack(NO_LIMIT, this.nowMs);
    }
    if ((held & HOLDS_TENANT) !== 0) {
      const place = this.gates.tenants[tenant]?.place;
      if (heldUs >= 0) place?.held(heldUs);
      place?.giveBack();
    }
  }

  private giveBackEarlier(held: number, route: number, upstream: number, tenant: number): void {
    const gate = this.gates.upstreams[upstream];
    if ((held & HOLDS_UPSTREAM) !== 0) gate?.bulkhead.giveBackEarlier(gate.limit, this.nowMs);
    if ((held & HOLDS_ROUTE) !== 0) this.gates.ofRoute(route)?.bulkhead?.giveBackEarlier(NO_LIMIT, this.nowMs);
    if ((held & HOLDS_TENANT) !== 0) this.gates.tenants[tenant]?.place?.giveBackEarlier();
  }

  /** Keeps what the answer will say: when the client may try again. */
  private refuse(subject: Subject, reason: number, retryMs: number): number {
    this.refusedIndex = subject.exchangeIndex;
    this.refusedGeneration = subject.exchangeGeneration;
    this.refusedBy = undefined;
    this.retryMs = retryMs;
    return reason;
  }

  private sweep(): void {
    this.nextSweepMs = this.nowMs + SWEEP_MS;
    if (this.isRated) this.rates.sweep(this.nowMs);
    this.gates.sweep(this.nowMs);
  }
}
