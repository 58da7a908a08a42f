/**
 * Decides between another attempt and an answer when an attempt failed before anything was
 * committed to the client. The rule is HTTP's (RFC 9110 §9.2.2, RFC 9113 §8.7). A request that was
 * not processed may be sent again. One that may have been processed is sent again only if its
 * method is idempotent (or the operator says so). One that cannot be replayed, because body bytes
 * are gone, is never sent again. Beyond that the route's settings apply, and the upstream's budget,
 * so that retries never become the load that keeps it down.
 */

import { reasonByNumber, reasonNumber } from '../../base/errors.ts';
import { noteNumber } from '../../base/notes.ts';
import { NONE } from '../../record/layout.ts';
import type { AttemptFailedReader } from '../../record/read.ts';
import type { Answer, Subject } from '../../record/write.ts';
import { PASSES } from '../admit/verdict.ts';
import { answerFor } from '../answer/answer.ts';
import { NO_MEMBER } from '../balance/balancer.ts';
import type { Pool } from '../balance/pool.ts';
import type { Compiled, RouteTerms } from '../compile.ts';
import { answerPlan, type DecideParts, fallBack, holdsForFallback, isGrpc, prepareLater, send } from '../decide.ts';
import { BACKS_OFF, FELL_BACK, HEDGE_IS_PROBE, IS_PROBE, IS_REPEATABLE, memoFreed, memoPool, withFreed, withPool } from '../memo.ts';
import { EDGE_PLAN } from '../plan/plan.ts';
import { tagRoute, tagTried } from '../tag.ts';

const LANE_FAILED = reasonNumber('lane_failed');
const RESPONSE_STATUS = reasonNumber('response_status');
const BACKEND_GOAWAY = reasonNumber('backend_goaway');
const BACKEND_REFUSED = reasonNumber('backend_refused');
const BACKEND_CLOSED = reasonNumber('backend_closed');
const FALLBACK_RESPONSE = reasonNumber('fallback_response');
const SESSIONS_EXHAUSTED = reasonNumber('sessions_exhausted');
const EXCHANGE_TIMEOUT = reasonNumber('exchange_timeout');
const IDLE_TIMEOUT = reasonNumber('idle_timeout');

const RETRIED = noteNumber('retried');
const DENIED_ATTEMPTS = noteNumber('retry_denied_attempts');
const DENIED_UNSAFE = noteNumber('retry_denied_unsafe');
const DENIED_BUDGET = noteNumber('retry_denied_budget');
const DENIED_BACKEND = noteNumber('retry_denied_backend');
const FALLBACK_USED = noteNumber('fallback_used');
const TIMED_OUT = noteNumber('timed_out');

const TIMEOUTS: ReadonlySet<number> = new Set((['connect_timeout', 'head_timeout', 'attempt_timeout'] as const).map(reasonNumber));

/**
 * Attempts per exchange that no backend processed and that cost neither attempts nor budget: a
 * backend that renews its sessions often would otherwise use up both. The bound ends an exchange
 * that is refused everywhere.
 */
const MAX_FREED = 8;

/**
 * A client that waited for a place in vain may come back soon: any exchange that ends frees one.
 */
const COME_BACK_SOON: Answer['fields'] = [['retry-after', '1']];
const NO_FIELDS: Answer['fields'] = [];

/** Answers an AttemptFailed record. `compiled` is the snapshot of its tag. */
export function retryOrAnswer(parts: DecideParts, compiled: Compiled, failed: AttemptFailedReader): void {
  const subject = parts.subject;
  takeSubject(subject, failed);
  try {
    if (!failed.hasWaited) learn(compiled, failed, subject);
    if (failed.isOtherRunning) return;
    const route = compiled.routes.of(tagRoute(failed.tag));
    const pool = compiled.pools[memoPool(failed.memo0)];
    if (route === undefined || pool === undefined) answer(parts, failed, failed.reason);
    else if (!route.pools.includes(pool.number)) endAsItIs(parts, failed);
    else if (!tryAgain(parts, compiled, route, pool, failed)) giveUp(parts, compiled, route, pool, failed);
  } catch (error) {
    compiled.observer.laneFailed(error);
    answer(parts, failed, LANE_FAILED);
  }
}

/** The route no longer sends to this pool, so the terms of another attempt are unknown. */
function endAsItIs(parts: DecideParts, failed: AttemptFailedReader): void {
  if (failed.isHeld) parts.writer.commit(parts.subject, 0);
  else answer(parts, failed, failed.reason);
}

/** True if another attempt was decided, now or after a wait. */
function tryAgain(parts: DecideParts, compiled: Compiled, route: RouteTerms, pool: Pool, failed: AttemptFailedReader): boolean {
  const { subject, writer } = parts;
  const { retry } = route;
  const { observer, random } = compiled;
  if (!retry.takes(failed.reason)) return false;
  if (failed.reason === RESPONSE_STATUS && !retry.statuses.has(failed.status, failed.grpcStatus)) return false;
  const isDecided = (subject.memo0 & BACKS_OFF) !== 0;
  const freed = memoFreed(subject.memo2);
  const isFree = !isDecided && retry.attempts > 0 && freed < MAX_FREED && isUnprocessed(failed);
  let denial = -1;
  if (!isFree && failed.attempts - freed > retry.attempts) denial = DENIED_ATTEMPTS;
  else if (!maySendAgain(failed)) denial = DENIED_UNSAFE;
  const position = denial === -1 ? pickOther(pool, failed) : NO_MEMBER;
  if (denial === -1 && position === NO_MEMBER) denial = DENIED_BACKEND;
  if (denial === -1 && !isDecided && !isFree && !compiled.budgets.takeRetry(pool.upstream, compiled.backends.nowMs)) denial = DENIED_BUDGET;
  if (denial !== -1) {
    observer.noted(denial, pool.upstream, failed.slot, failed.reason);
    return false;
  }

  if (isFree) subject.memo2 = withFreed(subject.memo2);
  if (!isDecided) {
    const waitMs = waitOf(route, pool, position, failed, random.next());
    if (waitMs > 0) {
      subject.memo0 = (subject.memo0 | BACKS_OFF) >>> 0;
      writer.wait(subject, waitMs, failed.reason);
      return true;
    }
  }
  subject.memo0 = (subject.memo0 & ~BACKS_OFF) >>> 0;
  observer.noted(RETRIED, pool.upstream, failed.slot, failed.reason);
  const isHeld = retry.isHolding && failed.attempts - memoFreed(subject.memo2) < retry.attempts;
  prepareLater(parts.forward, route, isHeld || holdsForFallback(route, subject));
  withCookie(parts, pool, position);
  send(parts, compiled, route, pool, position, tagTried(failed.tag), true);
  return true;
}

/** The backend says that it did not process the request (RFC 9113 §6.8, §8.7). */
function isUnprocessed(failed: AttemptFailedReader): boolean {
  return failed.isUnsent && (failed.reason === BACKEND_GOAWAY || failed.reason === BACKEND_REFUSED);
}

/** Nothing was sent, or it may be repeated, and all that was read of the request is still here. */
function maySendAgain(failed: AttemptFailedReader): boolean {
  if (!failed.isReplayable) return false;
  if (failed.isUnsent) return reasonByNumber(failed.reason).retry !== 'never';
  return reasonByNumber(failed.reason).retry === 'safe' && (failed.memo0 & IS_REPEATABLE) !== 0;
}

/**
 * How long to wait before the next attempt. There is no wait before the first attempt elsewhere
 * after a backend could not be reached or refused: the other backend needs no sparing. Nor is there
 * one on a new session to a backend that ended the last one; but a backend that refused a stream is
 * overloaded.
 */
function waitOf(route: RouteTerms, pool: Pool, position: number, failed: AttemptFailedReader, random: number): number {
  const { retry } = route;
  if (failed.retryAfterS !== NONE && retry.maxRetryAfterMs > 0 && pool.slots[position] === failed.slot) {
    const asked = failed.retryAfterS * 1_000;
    if (asked <= retry.maxRetryAfterMs) return asked;
  }
  // A GOAWAY asks for a new session, which is available at once.
  if (failed.isUnsent && failed.reason === BACKEND_GOAWAY) return 0;
  const isElsewhere = pool.slots[position] !== failed.slot;
  if (failed.isUnsent && failed.attempts === 1 && (isElsewhere || failed.reason !== BACKEND_REFUSED)) return 0;
  return retry.backoffMs(failed.attempts, random);
}

/**
 * Picks another backend. If there is none, picks the same once more if the session ended rather
 * than the backend, or if its answer may differ.
 */
function pickOther(pool: Pool, failed: AttemptFailedReader): number {
  const position = pool.slots.indexOf(failed.slot);
  const other = pool.balancer.pick(failed.memo1, tagTried(failed.tag), position);
  return other === NO_MEMBER && mayHelpAtSame(failed.reason) ? pool.balancer.pick(failed.memo1, 0, NO_MEMBER) : other;
}

function mayHelpAtSame(reason: number): boolean {
  return reason === BACKEND_GOAWAY || reason === BACKEND_REFUSED || reason === BACKEND_CLOSED || reason === RESPONSE_STATUS;
}

/** No more attempts: uses the fallback, the held response, or the failure's own answer. */
function giveUp(parts: DecideParts, compiled: Compiled, route: RouteTerms, pool: Pool, failed: AttemptFailedReader): void {
  const { subject, writer } = parts;
  subject.memo0 = (subject.memo0 & ~BACKS_OFF) >>> 0;
  // A held response is passed on, unless its status is one that the fallback replaces.
  if (failed.isHeld && (!route.fallbackOn.has(failed.status, failed.grpcStatus) || (subject.memo0 & FELL_BACK) !== 0)) {
    writer.commit(subject, 0);
    return;
  }
  if (
    route.fallbackPool !== -1 &&
    (subject.memo0 & FELL_BACK) === 0 &&
    maySendAgain(failed) &&
    toFallback(parts, compiled, route, pool, failed)
  )
    return;
  const isLate = failed.reason === EXCHANGE_TIMEOUT;
  if (route.fallbackAnswer !== undefined && (isLate || reasonByNumber(failed.reason).side === 'upstream')) {
    compiled.observer.noted(FALLBACK_USED, pool.upstream, failed.slot, failed.reason);
    writer.respond(subject, FALLBACK_RESPONSE, answerPlan(route), route.fallbackAnswer.of(isGrpc(subject), isLate));
  } else if (failed.isHeld) writer.commit(subject, 0);
  else answer(parts, failed, failed.reason);
}

function toFallback(parts: DecideParts, compiled: Compiled, route: RouteTerms, from: Pool, failed: AttemptFailedReader): boolean {
  const { subject } = parts;
  const pool = compiled.pools[route.fallbackPool]!;
  fallBack(compiled, route, subject, from.upstream);
  subject.memo0 = withPool(subject.memo0, pool.number);
  if (compiled.admission.admitTo(pool.upstream, route.number, subject, false) !== PASSES) return false;
  const position = pool.balancer.pick(failed.memo1, 0, NO_MEMBER);
  if (position === NO_MEMBER) return false;
  prepareLater(parts.forward, route, false);
  withCookie(parts, pool, position);
  send(parts, compiled, route, pool, position, 0, true);
  return true;
}

/** A sticky session moves to the backend that answers it. */
function withCookie({ forward }: DecideParts, pool: Pool, position: number): void {
  if (pool.sticky === undefined) return;
  forward.valueCount = 2;
  forward.values[0] = undefined;
  forward.values[1] = pool.sticky.setCookie(position);
}

/**
 * Learns from the failure about its backend. A GOAWAY is no fault: it is how a backend asks for a
 * new session. Nor is a full pool of ours: an attempt that waited for a session never reached the
 * backend.
 */
function learn(compiled: Compiled, failed: AttemptFailedReader, subject: Subject): void {
  const { backends, standing, observer } = compiled;
  const reason = reasonByNumber(failed.reason);
  const bit = failed.isHedge ? HEDGE_IS_PROBE : IS_PROBE;
  const isProbe = (subject.memo0 & bit) !== 0;
  subject.memo0 = (subject.memo0 & ~bit) >>> 0;
  // The exchange ran out of time. The record comes only for the sake of the answer and says no more
  // about the backend than one without it.
  if (failed.reason === EXCHANGE_TIMEOUT || failed.reason === IDLE_TIMEOUT) {
    standing.abandoned(failed.slot, isProbe);
    return;
  }
  observer.attemptFailed(failed.slot, failed.reason);
  if (TIMEOUTS.has(failed.reason))
    observer.noted(TIMED_OUT, compiled.pools[memoPool(failed.memo0)]?.upstream ?? -1, failed.slot, failed.reason);
  if (failed.reason === RESPONSE_STATUS) {
    backends.sampleUnwell(failed.slot, failed.durationUs);
    standing.responded(failed.slot, failed.status, failed.grpcStatus, failed.retryAfterS, isProbe);
    return;
  }
  if (reason.side !== 'upstream' || failed.reason === BACKEND_GOAWAY || failed.reason === SESSIONS_EXHAUSTED) {
    standing.abandoned(failed.slot, isProbe);
    return;
  }
  backends.fail(failed.slot);
  standing.failed(failed.slot, failed.reason, isProbe);
  if (reason.retry === 'if-unsent') backends.avoid(failed.slot);
}

function takeSubject(subject: Subject, failed: AttemptFailedReader): void {
  subject.exchangeIndex = failed.exchangeIndex;
  subject.exchangeGeneration = failed.exchangeGeneration;
  subject.tag = failed.tag;
  subject.memo0 = failed.memo0;
  subject.memo1 = failed.memo1;
  subject.memo2 = failed.memo2;
}

function answer({ writer, subject }: DecideParts, failed: AttemptFailedReader, reason: number): void {
  const fields = reason === SESSIONS_EXHAUSTED ? COME_BACK_SOON : NO_FIELDS;
  writer.respond(subject, reason, EDGE_PLAN, answerFor(reason, failed.requestId(), isGrpc(subject), fields));
}
