/**
 * Another attempt, or the answer: what becomes of an exchange whose attempt failed before anything was committed to the client.
 *
 * The rule is HTTP's (RFC 9110 §9.2.2, RFC 9113 §8.7): what was not processed may be sent again, what may have been is sent again only if the method is
 * idempotent; and what cannot be replayed, because body bytes are gone, is not sent again at all.
 */

import { reasonByNumber, reasonNumber } from '../../base/errors.ts';
import type { AttemptFailedReader } from '../../record/read.ts';
import type { DecisionWriter } from '../../record/write.ts';
import { answerFor } from '../answer.ts';
import { NO_MEMBER } from '../balance/balancer.ts';
import type { Compiled, RouteTerms } from '../compile.ts';
import { decide, pick } from '../decide.ts';
import { EDGE_PLAN } from '../plan.ts';
import { tagRoute, tagTried } from '../tag.ts';

const LANE_FAILED = reasonNumber('lane_failed');
const BACKEND_GOAWAY = reasonNumber('backend_goaway');
const BACKEND_REFUSED = reasonNumber('backend_refused');
const BACKEND_CLOSED = reasonNumber('backend_closed');

/** Answers an AttemptFailed record with Forward or Respond. `compiled` is the snapshot of its tag. */
export function retryOrAnswer(writer: DecisionWriter, compiled: Compiled, failed: AttemptFailedReader): void {
  try {
    learn(compiled, failed);
    const route = compiled.routes[tagRoute(failed.tag)];
    const position = route === undefined || !mayRetry(route, failed) ? NO_MEMBER : pickOther(route, failed);
    if (route === undefined || position === NO_MEMBER) answer(writer, failed, failed.reason);
    else decide(writer, compiled, route, position, tagTried(failed.tag), failed.exchangeIndex, failed.exchangeGeneration, true);
  } catch (error) {
    compiled.observer.laneFailed(error);
    answer(writer, failed, LANE_FAILED);
  }
}

/** May the exchange be attempted again on `route`? */
export function mayRetry(route: RouteTerms, failed: AttemptFailedReader): boolean {
  if (failed.attempts > route.retries || !failed.isReplayable) return false;
  const retry = reasonByNumber(failed.reason).retry;
  if (retry === 'never') return false;
  return failed.isUnsent || (retry === 'safe' && failed.isIdempotent);
}

/** Another backend; where there is none, the same once more if it was a session that ended rather than the backend. */
function pickOther(route: RouteTerms, failed: AttemptFailedReader): number {
  const position = route.upstream.slots.indexOf(failed.slot);
  const other = pick(route, tagTried(failed.tag), position);
  return other === NO_MEMBER && isOfSession(failed.reason) ? pick(route, 0, NO_MEMBER) : other;
}

/** Failures after which a new session to the same backend may well succeed. */
function isOfSession(reason: number): boolean {
  return reason === BACKEND_GOAWAY || reason === BACKEND_REFUSED || reason === BACKEND_CLOSED;
}

/** What the failure says about its backend. A GOAWAY says nothing bad: it is how a backend asks for a new session. */
function learn(compiled: Compiled, failed: AttemptFailedReader): void {
  const reason = reasonByNumber(failed.reason);
  compiled.observer.attemptFailed(failed.slot, failed.reason);
  if (reason.side !== 'upstream' || failed.reason === BACKEND_GOAWAY) return;
  compiled.backends.fail(failed.slot);
  if (reason.retry === 'if-unsent') compiled.backends.avoid(failed.slot);
}

function answer(writer: DecisionWriter, failed: AttemptFailedReader, reason: number): void {
  writer.respond(failed.exchangeIndex, failed.exchangeGeneration, reason, failed.tag, EDGE_PLAN, answerFor(reason, failed.requestId()));
}
