/**
 * A snapshot compiled for decisions: router, terms of every route, pools, standing, admission. Made
 * once when a snapshot is applied. Exchanges that began under an older snapshot end under it, so
 * several live side by side.
 */

import { isDeepStrictEqual } from 'node:util';
import type { Steps } from '../base/steps.ts';
import { clientFieldsOf } from '../config/numbering/in-use.ts';
import type { LaneSnapshot } from '../config/route-table.ts';
import type { HedgeSnapshot, RouteSnapshot } from '../config/snapshot/route.ts';
import { FORWARD_KEEP_REQUEST_ID, FORWARD_TELL_DEADLINE, FORWARD_TELL_FAILURES } from '../record/layout.ts';
import { type DecisionWriter, maxForwardBytes, type Subject } from '../record/write.ts';
import { Admission } from './admit/admission.ts';
import type { Lives } from './admit/life.ts';
import { MAX_ANSWER_BYTES } from './answer/answer.ts';
import { FALLBACK_FIELD, FixedAnswer } from './answer/fixed-answer.ts';
import { LastHopAnswer } from './answer/last-hop.ts';
import { OwnAnswer } from './answer/own-answer.ts';
import { Backends } from './balance/backends.ts';
import { compilePools, type Pool, type Pools } from './balance/pool.ts';
import { Split } from './balance/split.ts';
import { Weights } from './balance/weights.ts';
import { Client } from './head/client.ts';
import { DeadlineReader } from './head/deadline.ts';
import { GrpcSign } from './head/grpc.ts';
import { Lookups } from './head/lookups.ts';
import { MAX_EDITED_BYTES } from './head/path-edit.ts';
import { PathRewrite } from './head/path-rewrite.ts';
import { Underscores } from './head/underscores.ts';
import { DROPS_UNDERSCORES, MAX_TENANTS, memoTrust } from './memo.ts';
import type { Observer } from './observer.ts';
import { EDGE_PLAN, RoutePlans } from './plan/plan.ts';
import type { PlanTable } from './plan/table.ts';
import type { Random } from './random.ts';
import { Budgets } from './retry/budgets.ts';
import { HEDGE_COUNTS, HedgeDelay } from './retry/hedge-delay.ts';
import { HeldStatuses, RetryTerms } from './retry/terms.ts';
import { Router } from './route/router.ts';
import type { SharedState } from './shared.ts';
import { Standing } from './standing/standing.ts';
import { compileTerms } from './standing/terms.ts';
import type { LaneTables } from './tables.ts';
import { TAG_NO_ROUTE } from './tag.ts';

/** A route, compiled. */
export interface RouteTerms {
  readonly number: number;
  readonly flags: number;
  readonly connectTimeoutMs: number;
  readonly placeTimeoutMs: number;
  readonly headTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** 0 if unlimited. */
  readonly exchangeTimeoutMs: number;
  /** 0 if unlimited. */
  readonly attemptTimeoutMs: number;
  /** -1 if unlimited. */
  readonly maxBodyBytes: number;
  /** The answer of a route that does not forward. */
  readonly ownAnswer: OwnAnswer | undefined;
  /** Answers to OPTIONS and TRACE requests that may not be forwarded. */
  readonly lastHop: LastHopAnswer;
  /** Pools by target. The fallback upstream's pool, if any, is the last. */
  readonly pools: readonly number[];
  /** Undefined if there is only one target. */
  readonly split: Split | undefined;
  /** -1 if there is none. */
  readonly fallbackPool: number;
  readonly fallbackAnswer: FixedAnswer | undefined;
  /** Statuses of responses that the fallback replaces. */
  readonly fallbackOn: HeldStatuses;
  /** Bytes of a request body kept for another attempt, here or at the fallback. */
  readonly replayBytes: number;
  readonly plans: RoutePlans;
  /** Undefined if edits of the plan do it. */
  readonly rewrite: PathRewrite | undefined;
  readonly deadline: DeadlineReader | undefined;
  readonly retry: RetryTerms;
  readonly hedge: HedgeDelay | undefined;
}

export interface Compiled {
  readonly snapshot: LaneSnapshot;
  /** The number of this snapshot in tags. */
  readonly epoch: number;
  readonly router: Router;
  readonly routes: Routes;
  readonly pools: readonly Pool[];
  readonly budgets: Budgets;
  readonly backends: Backends;
  readonly standing: Standing;
  readonly admission: Admission;
  readonly client: Client;
  readonly grpc: GrpcSign;
  /** Undefined if names with an underscore are allowed. */
  readonly underscores: Underscores | undefined;
  /** Upstreams that were reported to ask for connection-based authentication. */
  readonly connectionAuth: Set<number>;
  readonly random: Random;
  readonly observer: Observer;
  /** Bytes of the largest record that can answer a head or a failure. */
  readonly maxDecisionBytes: number;
}

export interface CompileParts {
  readonly snapshot: LaneSnapshot;
  readonly shared: SharedState;
  readonly observer: Observer;
  readonly random: Random;
  readonly writer: DecisionWriter;
  readonly kick: () => void;
  /** The shard's memory, which holds the heads. */
  readonly bytes: Uint8Array;
  readonly lives: Lives;
  readonly nowMs: number;
  /** Tables of the snapshot. The reactor must know its new plans before the first decision. */
  readonly tables: LaneTables;
  /** Latencies of routes that lanes have learned, kept across snapshots. */
  readonly hedges: Hedges;
}

/**
 * Compiles a snapshot. Does not change anything that the previous snapshot decides by, so exchanges
 * may go on between the steps. Throws a RangeError if the snapshot has more routes than a tag can
 * name, or more tenants or pools than a memo.
 */
export function* compile(parts: CompileParts, epoch: number): Steps<Compiled> {
  const { snapshot, shared, observer, random } = parts;
  const lookups = new Lookups(parts.bytes);
  if (snapshot.routes.length >= TAG_NO_ROUTE) throw new RangeError(`${snapshot.routes.length} routes, ${TAG_NO_ROUTE - 1} at most`);
  if (snapshot.tenants.length > MAX_TENANTS) throw new RangeError(`${snapshot.tenants.length} tenants, ${MAX_TENANTS} at most`);
  const decayMs = new Map(snapshot.upstreams.map((upstream) => [upstream.name, upstream.balance.decayMs]));
  const backends = new Backends(
    shared.backends,
    snapshot.backends.map(({ slot, upstream }) => ({ slot, decayMs: decayMs.get(upstream) ?? 10_000 })),
  );
  yield;
  const terms = yield* compileTerms(snapshot, shared.standing);
  const standing = new Standing({ snapshot, table: shared.standing, observer, backends, terms });
  yield;
  const pools = yield* compilePools({ snapshot, backends, standing, weights: shared.weights, random, observer, lookups });
  const { tables, hedges } = parts;
  const hedgeCounts = new Uint16Array(tables.isHedged ? snapshot.routes.length * HEDGE_COUNTS : 0);
  const routes = new Routes({ snapshot, lookups, weights: new Weights(shared.weights), hedgeCounts, hedges, pools, plans: tables.plans });
  yield;
  const admission = yield* Admission.compile({ ...parts, lookups });
  const router = new Router(snapshot, lookups, tables.router);
  yield;
  return {
    snapshot,
    epoch,
    router,
    routes,
    pools: pools.pools,
    budgets: new Budgets(snapshot.upstreams, shared.budgets, observer),
    backends,
    standing,
    admission,
    client: new Client(snapshot.listeners, lookups, clientFieldsOf(snapshot)),
    grpc: new GrpcSign(lookups),
    underscores: Underscores.of(snapshot.claims, parts.bytes, observer),
    connectionAuth: new Set(),
    random,
    observer,
    maxDecisionBytes: Math.max(MAX_ANSWER_BYTES + admission.maxFieldBytes, tables.maxAnswerBytes, forwardBytes(pools.pools)),
  };
}

/** The plan of `route` for the backend at `position` of pool number `pool`. */
export function planOf(route: RouteTerms, pool: number, position: number, { memo2 }: Subject): number {
  const { pools, plans } = route;
  for (let target = 0; target < pools.length; target++) {
    if (pools[target] !== pool) continue;
    return plans.of(target, position, memoTrust(memo2), (memo2 & DROPS_UNDERSCORES) !== 0);
  }
  return EDGE_PLAN;
}

interface RouteParts {
  readonly snapshot: LaneSnapshot;
  readonly lookups: Lookups;
  readonly weights: Weights;
  readonly hedgeCounts: Uint16Array;
  readonly hedges: Hedges;
  readonly pools: Pools;
  readonly plans: PlanTable;
}

/**
 * Terms of routes by number, made when a route is first used: of ten thousand routes most lanes
 * meet few.
 */
export class Routes {
  private readonly made: (RouteTerms | undefined)[];
  /** Indexed by number in the table of plans. */
  private readonly plans: (RoutePlans | undefined)[];
  private readonly parts: RouteParts;

  constructor(parts: RouteParts) {
    this.parts = parts;
    this.made = new Array<undefined>(parts.snapshot.routes.length).fill(undefined);
    this.plans = new Array<undefined>(parts.plans.sets.length).fill(undefined);
  }

  /** Undefined if there is no such route. */
  of(number: number): RouteTerms | undefined {
    return this.made[number] ?? this.make(number);
  }

  private make(number: number): RouteTerms | undefined {
    const { snapshot, pools, plans } = this.parts;
    const route = snapshot.routes.at(number);
    if (route === undefined || number < 0) return undefined;
    const set = plans.ofRoute[number]!;
    this.plans[set] ??= new RoutePlans(plans.sets[set]!);
    const terms = routeTerms(this.parts, route, number, pools.ofRoute(route), this.plans[set]);
    this.made[number] = terms;
    return terms;
  }
}

/** The latencies that a lane has learned of routes that hedge, by route number. */
export type Hedges = Map<number, { readonly name: string; readonly hedge: HedgeSnapshot; readonly delay: HedgeDelay }>;

function routeTerms(
  { lookups, weights, hedgeCounts, hedges }: RouteParts,
  route: RouteSnapshot,
  number: number,
  pools: readonly number[],
  plans: RoutePlans,
): RouteTerms {
  const { fallback, retries } = route;
  const retry = lookups.once('retries', retries, () => new RetryTerms(retries));
  return {
    number,
    flags:
      FORWARD_TELL_FAILURES |
      (route.isRequestIdKept ? FORWARD_KEEP_REQUEST_ID : 0) |
      // At that point only a fixed answer is possible.
      (fallback.kind === 'fixed' ? FORWARD_TELL_DEADLINE : 0),
    connectTimeoutMs: route.connectTimeoutMs,
    placeTimeoutMs: route.placeTimeoutMs,
    headTimeoutMs: route.headTimeoutMs,
    idleTimeoutMs: route.idleTimeoutMs,
    exchangeTimeoutMs: route.exchangeTimeoutMs,
    attemptTimeoutMs: route.attemptTimeoutMs,
    maxBodyBytes: route.maxBodyBytes,
    ownAnswer: OwnAnswer.of(route),
    lastHop: lookups.once('last hop', route.match.methods, () => new LastHopAnswer(route)),
    pools,
    split: route.targets.length < 2 ? undefined : new Split(route, number, pools, weights, lookups),
    fallbackPool: fallback.kind === 'upstream' ? pools[pools.length - 1]! : -1,
    fallbackAnswer: fallback.kind === 'fixed' ? new FixedAnswer(fallback.answer, 'fallback_response', [FALLBACK_FIELD]) : undefined,
    fallbackOn: lookups.once('fallback statuses', route.fallbackOn, () => new HeldStatuses(route.fallbackOn)),
    replayBytes: retries.attempts > 0 || fallback.kind === 'upstream' ? retry.bufferBytes : 0,
    plans,
    rewrite: PathRewrite.of(route.path),
    deadline: DeadlineReader.of(route, lookups),
    retry,
    hedge:
      route.hedge &&
      hedgeOf(hedges, route.name, route.hedge, number, () => new HedgeDelay(route.hedge!, hedgeCounts, number * HEDGE_COUNTS)),
  };
}

/** The learned latency of the route, if its hedging is configured as before. */
function hedgeOf(hedges: Hedges, name: string, hedge: HedgeSnapshot, number: number, make: () => HedgeDelay): HedgeDelay {
  const before = hedges.get(number);
  if (before?.name === name && isDeepStrictEqual(before.hedge, hedge)) return before.delay;
  const delay = make();
  hedges.set(number, { name, hedge, delay });
  return delay;
}

/** Assumes a rewritten path and a cookie, even if the route has neither. */
function forwardBytes(pools: readonly Pool[]): number {
  return maxForwardBytes(MAX_EDITED_BYTES + Math.max(0, ...pools.map(({ sticky }) => sticky?.maxBytes ?? 0)));
}
