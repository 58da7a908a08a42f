/**
 * Phases 6 to 9 of a request: match → admit → pick → decide. A head comes in as a record and one
 * decision goes out as a record, without allocation and without waiting. A head that was told to
 * wait comes back here and continues from its memo.
 */

import { reasonNumber } from '../base/errors.ts';
import { noteNumber } from '../base/notes.ts';
import { FORWARD_HEDGE, FORWARD_HOLD, NONE } from '../record/layout.ts';
import type { HeadReader } from '../record/read.ts';
import type { DecisionWriter, Forward, Subject } from '../record/write.ts';
import type { Rule } from './admit/rule.ts';
import { PASSES, WAITS } from './admit/verdict.ts';
import { answerFor } from './answer/answer.ts';
import { NO_MEMBER, TRIED_BITS } from './balance/balancer.ts';
import type { Pool } from './balance/pool.ts';
import { type Compiled, planOf, type RouteTerms } from './compile.ts';
import { NO_DEADLINE } from './head/deadline.ts';
import {
  DROPS_UNDERSCORES,
  FELL_BACK,
  HEDGE_IS_PROBE,
  IS_GRPC,
  IS_PROBE,
  IS_REPEATABLE,
  memoPool,
  memoTenant,
  NO_POOL,
  withPool,
  withTrust,
} from './memo.ts';
import { EDGE_PLAN } from './plan/plan.ts';
import { NO_ROUTE } from './route/router.ts';
import { packTag, TAG_NO_ROUTE, tagRoute } from './tag.ts';

const ROUTE_NOT_FOUND = reasonNumber('route_not_found');
const BACKEND_NOT_AVAILABLE = reasonNumber('backend_not_available');
const CIRCUIT_OPEN = reasonNumber('circuit_open');
const BACKENDS_UNHEALTHY = reasonNumber('backends_unhealthy');
const REQUEST_MALFORMED = reasonNumber('request_malformed');
const REQUEST_BODY_TOO_LARGE = reasonNumber('request_body_too_large');
const EXCHANGE_TIMEOUT = reasonNumber('exchange_timeout');
const FALLBACK_RESPONSE = reasonNumber('fallback_response');
const MAX_FORWARDS_REACHED = reasonNumber('max_forwards_reached');
const LANE_FAILED = reasonNumber('lane_failed');
const FALLBACK_USED = noteNumber('fallback_used');
const TURNED_AWAY = noteNumber('turned_away');

/** Refusals for lack of a place. */
const NO_PLACE: ReadonlySet<number> = new Set((['route_full', 'upstream_full', 'tenant_full', 'queue_timeout'] as const).map(reasonNumber));

/**
 * What decisions need besides the compiled snapshot. `subject` and `forward` are refilled for each
 * decision.
 */
export interface DecideParts {
  readonly writer: DecisionWriter;
  readonly subject: Subject;
  readonly forward: Forward;
  readonly rules: readonly Rule[];
}

/**
 * Decides one head. If a phase throws (a rule, or a bug of ours), this exchange ends and is
 * counted.
 */
export function decideHead(parts: DecideParts, compiled: Compiled, head: HeadReader): void {
  const subject = parts.subject;
  try {
    subject.exchangeIndex = head.exchangeIndex;
    subject.exchangeGeneration = head.exchangeGeneration;
    compiled.client.read(head);
    const number = head.hasWaited ? resume(subject, head) : match(compiled, subject, head);
    if (head.hasUnderscore && !head.hasWaited && compiled.underscores?.isIn(head) === true) {
      if (compiled.underscores.isRefusing) {
        refuse(parts, compiled, head.requestId(), REQUEST_MALFORMED);
        return;
      }
      subject.memo2 = (subject.memo2 | DROPS_UNDERSCORES) >>> 0;
    }
    const route = number === NO_ROUTE ? undefined : compiled.routes.of(number);
    if (route === undefined) {
      refuse(parts, compiled, head.requestId(), ROUTE_NOT_FOUND);
      return;
    }
    const verdict = admit(parts, compiled, route, head);
    if (verdict === WAITS) return;
    if (verdict !== PASSES) refuse(parts, compiled, head.requestId(), verdict);
    else if (route.ownAnswer !== undefined) {
      parts.writer.respond(subject, route.ownAnswer.reason, answerPlan(route), route.ownAnswer.answer(head, isGrpc(subject)));
    } else if (head.isLastHop) parts.writer.respond(subject, MAX_FORWARDS_REACHED, answerPlan(route), route.lastHop.of(head));
    else sendOn(parts, compiled, route, head);
  } catch (error) {
    compiled.observer.laneFailed(error);
    refuse(parts, compiled, head.requestId(), LANE_FAILED);
  }
}

/** Phase 6: the route of a head, or NO_ROUTE. Initialises the subject's tag and memo. */
function match(compiled: Compiled, subject: Subject, head: HeadReader): number {
  const { router, client } = compiled;
  const number = router.match(head, client);
  subject.tag = packTag(compiled.epoch, 0, number === NO_ROUTE ? TAG_NO_ROUTE : number);
  subject.memo0 = NO_POOL | (compiled.grpc.isIn(head) ? IS_GRPC : 0);
  subject.memo1 = 0;
  subject.memo2 = withTrust(router.tenant + 1, client.trust);
  return number;
}

/** A head that waited already has its route and maybe more. */
function resume(subject: Subject, head: HeadReader): number {
  subject.tag = head.tag;
  subject.memo0 = head.memo0;
  subject.memo1 = head.memo1;
  subject.memo2 = head.memo2;
  const route = tagRoute(head.tag);
  return route === TAG_NO_ROUTE ? NO_ROUTE : route;
}

/**
 * Phase 7: the verdict of admission. A body whose content-length is too large is refused before
 * anything is opened.
 */
function admit(parts: DecideParts, compiled: Compiled, route: RouteTerms, head: HeadReader): number {
  if (route.maxBodyBytes >= 0 && head.isLengthKnown && head.contentLength > route.maxBodyBytes) return REQUEST_BODY_TOO_LARGE;
  const subject = parts.subject;
  const refusal = compiled.admission.admit(head, compiled.client, route.number, memoTenant(subject.memo2), subject);
  if (refusal !== PASSES) return refusal;
  const rules = parts.rules;
  for (let i = 0; i < rules.length; i++) {
    const verdict = rules[i]!(head, route);
    if (verdict !== PASSES) return verdict;
  }
  return PASSES;
}

/**
 * Phases 8 and 9: sends to the target drawn by the split. If that has no place or no backend, sends
 * to the fallback, else refuses.
 */
function sendOn(parts: DecideParts, compiled: Compiled, route: RouteTerms, head: HeadReader): void {
  const { subject } = parts;
  const chosen = memoPool(subject.memo0);
  const pool = chosen === NO_POOL ? choose(compiled, route, head, subject) : stillChosen(compiled, route, head, subject, chosen);
  if (!takeDeadline(parts.forward, route, head)) {
    standIn(parts, compiled, route, head, pool, EXCHANGE_TIMEOUT);
    return;
  }
  let refusal = place(parts, compiled, route, head, pool);
  if (refusal === PASSES || refusal === WAITS) return;
  if (route.fallbackPool !== -1 && (subject.memo0 & FELL_BACK) === 0) {
    fallBack(compiled, route, subject, compiled.pools[pool]!.upstream);
    refusal = place(parts, compiled, route, head, route.fallbackPool);
    if (refusal === PASSES || refusal === WAITS) return;
  }
  standIn(parts, compiled, route, head, pool, refusal);
}

/** The route's fixed fallback answer, if any, else the refusal. */
function standIn(parts: DecideParts, compiled: Compiled, route: RouteTerms, head: HeadReader, pool: number, refusal: number): void {
  const { subject, writer } = parts;
  if (route.fallbackAnswer === undefined) {
    refuse(parts, compiled, head.requestId(), refusal);
    return;
  }
  compiled.observer.noted(FALLBACK_USED, compiled.pools[pool]!.upstream, -1, refusal);
  const answer = route.fallbackAnswer.of(isGrpc(subject), refusal === EXCHANGE_TIMEOUT);
  writer.respond(subject, FALLBACK_RESPONSE, answerPlan(route), answer);
}

/**
 * Sets the exchange's timeout: the route's, or the client's deadline if shorter. False if no time
 * is left.
 */
function takeDeadline(forward: Forward, route: RouteTerms, head: HeadReader): boolean {
  forward.exchangeTimeoutMs = route.exchangeTimeoutMs;
  if (route.deadline === undefined) return true;
  const deadlineMs = route.deadline.read(head);
  if (deadlineMs !== NO_DEADLINE && (route.exchangeTimeoutMs === 0 || deadlineMs < route.exchangeTimeoutMs))
    forward.exchangeTimeoutMs = deadlineMs;
  return deadlineMs !== 0;
}

/**
 * The pool that a head waited for. If the route no longer sends there, draws another and returns
 * what the exchange holds at the old upstream.
 */
function stillChosen(compiled: Compiled, route: RouteTerms, head: HeadReader, subject: Subject, pool: number): number {
  if (route.pools.includes(pool)) return pool;
  compiled.admission.forsake(subject, route.number, compiled.pools[pool]?.upstream ?? -1);
  return choose(compiled, route, head, subject);
}

function choose(compiled: Compiled, route: RouteTerms, head: HeadReader, subject: Subject): number {
  if (route.split === undefined) return route.pools[0]!;
  return route.split.choose(head, compiled.client, memoTenant(subject.memo2));
}

/** Marks the exchange as using the fallback upstream and returns its place at the first. */
export function fallBack(compiled: Compiled, route: RouteTerms, subject: Subject, upstream: number): void {
  compiled.admission.release(subject, route.number, upstream, true);
  compiled.observer.noted(FALLBACK_USED, upstream, -1, 0);
  subject.memo0 = (subject.memo0 | FELL_BACK) >>> 0;
}

/**
 * Takes a place at the pool's upstream and picks a backend. PASSES if the decision is written,
 * WAITS, or the reason of the refusal.
 */
function place(parts: DecideParts, compiled: Compiled, route: RouteTerms, head: HeadReader, number: number): number {
  const subject = parts.subject;
  const pool = compiled.pools[number]!;
  subject.memo0 = withPool(subject.memo0, number);
  const refusal = compiled.admission.admitTo(pool.upstream, route.number, subject, true);
  if (refusal !== PASSES) return refusal;

  const key = pool.key === undefined ? 0 : pool.key.hash(head, compiled.client, memoTenant(subject.memo2), route.number);
  subject.memo1 = key;
  let position = pool.sticky === undefined ? NO_MEMBER : pool.sticky.read(head);
  const isStuck = position !== NO_MEMBER;
  if (!isStuck) position = pool.balancer.pick(key, 0, NO_MEMBER);
  if (position === NO_MEMBER) return notAvailable(compiled, pool);

  const { forward } = parts;
  const { client } = compiled;
  // The reactor knows the peer's network. The client's differs only behind a trusted proxy.
  forward.clientLow = client.isPeerTrusted ? client.networkLow() : 0;
  forward.clientHigh = client.isPeerTrusted ? client.networkHigh() : 0;
  forward.valueCount = 0;
  if (route.rewrite !== undefined || pool.sticky !== undefined) {
    forward.valueCount = 2;
    forward.values[0] = route.rewrite === undefined ? '' : route.rewrite.apply(head);
    if (pool.sticky === undefined) forward.values[1] = '';
    else forward.values[1] = isStuck ? pool.sticky.renewal(position) : pool.sticky.setCookie(position);
  }
  const isRepeatable = route.retry.isRepeatable(head);
  if (isRepeatable) subject.memo0 = (subject.memo0 | IS_REPEATABLE) >>> 0;
  const isHeld = (isRepeatable && route.retry.isHolding) || holdsForFallback(route, subject);
  forward.flags = isHeld ? route.flags | FORWARD_HOLD : route.flags;
  const mayHedge = route.hedge !== undefined && isRepeatable && !head.hasBody && pool.sticky === undefined && pool.slots.length > 1;
  forward.hedgeDelayMs = mayHedge ? route.hedge.delayMs : 0;
  if (route.retry.attempts > 0) compiled.budgets.retries[pool.upstream]!.count(compiled.backends.nowMs);
  if (mayHedge) compiled.budgets.hedges[pool.upstream]!.count(compiled.backends.nowMs);
  send(parts, compiled, route, pool, position, 0, false);
  return PASSES;
}

/**
 * A response that the fallback may replace is held until that is decided. Another upstream only
 * gets requests that may be sent again.
 */
export function holdsForFallback(route: RouteTerms, { memo0 }: Subject): boolean {
  if (!route.fallbackOn.isAny || (memo0 & FELL_BACK) !== 0) return false;
  return route.fallbackAnswer !== undefined || (memo0 & IS_REPEATABLE) !== 0;
}

/**
 * Why no backend of `pool` could be picked. Names the breaker if it bars any of them, rather than
 * active checks: it decides when the next request may try.
 */
function notAvailable({ backends, standing }: Compiled, pool: Pool): number {
  let reason = BACKEND_NOT_AVAILABLE;
  for (let i = 0; i < pool.slots.length; i++) {
    const slot = pool.slots[i]!;
    if (!backends.hasAddress(slot) || standing.admits(slot)) continue;
    if (!standing.isDown(slot)) return CIRCUIT_OPEN;
    reason = BACKENDS_UNHEALTHY;
  }
  return reason;
}

/** Whole seconds, at least 1, until the first backend of `pool` may be back; 0 if unknown. */
function secondsUntilBack({ backends, standing }: Compiled, pool: Pool): number {
  let soonest = Number.POSITIVE_INFINITY;
  for (let i = 0; i < pool.slots.length; i++) {
    const slot = pool.slots[i]!;
    if (!backends.hasAddress(slot) || standing.admits(slot)) continue;
    const ms = standing.msUntilAdmitted(slot);
    if (ms !== -1 && ms < soonest) soonest = ms;
  }
  return soonest === Number.POSITIVE_INFINITY ? 0 : Math.max(1, Math.ceil(soonest / 1_000));
}

/** Sets up a later attempt: terms of the whole exchange stay as the first attempt set them. */
export function prepareLater(forward: Forward, route: RouteTerms, isHolding: boolean): void {
  forward.flags = isHolding ? route.flags | FORWARD_HOLD : route.flags;
  forward.exchangeTimeoutMs = NONE;
  forward.clientLow = 0;
  forward.clientHigh = 0;
  forward.hedgeDelayMs = 0;
  forward.valueCount = 0;
}

/**
 * Phase 9: forwards to the backend at `position` of `pool` under the route's terms. What differs by
 * request is in `forward` already.
 */
export function send(
  parts: DecideParts,
  compiled: Compiled,
  route: RouteTerms,
  pool: Pool,
  position: number,
  tried: number,
  isExtra: boolean,
): void {
  const { forward, subject } = parts;
  const slot = pool.slots[position]!;
  forward.slot = slot;
  forward.plan = planOf(route, pool.number, position, subject);
  forward.connectTimeoutMs = route.connectTimeoutMs;
  forward.placeTimeoutMs = route.placeTimeoutMs;
  forward.headTimeoutMs = route.headTimeoutMs;
  forward.idleTimeoutMs = route.idleTimeoutMs;
  forward.attemptTimeoutMs = route.attemptTimeoutMs;
  forward.maxBodyBytes = route.maxBodyBytes;
  forward.replayBytes = route.replayBytes;
  subject.tag = packTag(compiled.epoch, position < TRIED_BITS ? tried | (1 << position) : tried, route.number);
  compiled.backends.take(slot);
  // A hedge needs a bit of its own, as the first attempt is still running.
  const bit = (forward.flags & FORWARD_HEDGE) === 0 ? IS_PROBE : HEDGE_IS_PROBE;
  subject.memo0 = (compiled.standing.attempted(slot) ? subject.memo0 | bit : subject.memo0 & ~bit) >>> 0;
  compiled.observer.attempted(slot, isExtra);
  parts.writer.forward(subject, forward);
}

/** The plan whose response edits apply to the route's own answers. */
export function answerPlan(route: RouteTerms): number {
  return route.plans.answerPlan;
}

/** Whether answers of the edge to this exchange must be gRPC. */
export function isGrpc(subject: Subject): boolean {
  return (subject.memo0 & IS_GRPC) !== 0;
}

/** Answers with a reason of the registry. */
function refuse(parts: DecideParts, compiled: Compiled, requestId: string, reason: number): void {
  const { subject, writer } = parts;
  let fields = compiled.admission.takeAnswerFields(subject);
  if (reason === CIRCUIT_OPEN || reason === BACKENDS_UNHEALTHY) {
    const seconds = secondsUntilBack(compiled, compiled.pools[memoPool(subject.memo0)]!);
    if (seconds > 0) fields = [...fields, ['retry-after', String(seconds)]];
  }
  if (NO_PLACE.has(reason)) compiled.observer.noted(TURNED_AWAY, compiled.pools[memoPool(subject.memo0)]?.upstream ?? -1, -1, reason);
  writer.respond(subject, reason, EDGE_PLAN, answerFor(reason, requestId, isGrpc(subject), fields));
}
