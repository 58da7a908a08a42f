/**
 * Phases 6 to 9 of a request: match → admit → pick → decide. A head comes in as a record and one decision goes out as a record; in between
 * nothing is allocated and nobody is waited for.
 */

import { reasonNumber } from '../base/errors.ts';
import type { HeadReader } from '../record/read.ts';
import type { DecisionWriter } from '../record/write.ts';
import { answerFor } from './answer.ts';
import { NO_MEMBER, TRIED_BITS } from './balance/balancer.ts';
import { type Compiled, planOf, type RouteTerms } from './compile.ts';
import { EDGE_PLAN } from './plan.ts';
import { PASS, type Rule } from './policy/rule.ts';
import { NO_ROUTE } from './route/router.ts';
import { packTag, TAG_NO_ROUTE } from './tag.ts';

const ROUTE_NOT_FOUND = reasonNumber('route_not_found');
const BACKEND_NOT_AVAILABLE = reasonNumber('backend_not_available');
const REQUEST_BODY_TOO_LARGE = reasonNumber('request_body_too_large');
const LANE_FAILED = reasonNumber('lane_failed');

/** What deciding a head needs beside the compiled snapshot. */
export interface DecideParts {
  readonly bytes: Uint8Array;
  readonly writer: DecisionWriter;
  readonly rules: readonly Rule[];
}

/** The way of one head. A phase that throws (a rule, or a mistake of ours) ends this exchange and is counted. */
export function decideHead(parts: DecideParts, compiled: Compiled, head: HeadReader): void {
  try {
    const number = match(compiled, parts.bytes, head);
    const route = number === NO_ROUTE ? undefined : compiled.routes[number];
    if (route === undefined) {
      refuse(parts.writer, compiled, head, ROUTE_NOT_FOUND, TAG_NO_ROUTE);
      return;
    }
    const refusal = admit(parts.rules, route, head);
    const position = refusal === PASS ? pick(route, 0, NO_MEMBER) : NO_MEMBER;
    if (position === NO_MEMBER) refuse(parts.writer, compiled, head, refusal === PASS ? BACKEND_NOT_AVAILABLE : refusal, route.number);
    else decide(parts.writer, compiled, route, position, 0, head.exchangeIndex, head.exchangeGeneration, false);
  } catch (error) {
    compiled.observer.laneFailed(error);
    refuse(parts.writer, compiled, head, LANE_FAILED, TAG_NO_ROUTE);
  }
}

/** 6. The route of a head, or NO_ROUTE. */
export function match(compiled: Compiled, bytes: Uint8Array, head: HeadReader): number {
  return compiled.router.match(bytes, head.authorityByte, head.authorityLength, head.pathByte, head.pathLength);
}

/** 7. PASS, or the reason of the refusal. A body that announces itself as too large is refused before anything is opened. */
export function admit(rules: readonly Rule[], route: RouteTerms, head: HeadReader): number {
  if (route.maxBodyBytes >= 0 && head.isLengthKnown && head.contentLength > route.maxBodyBytes) return REQUEST_BODY_TOO_LARGE;
  for (let i = 0; i < rules.length; i++) {
    const refusal = rules[i]!(head, route);
    if (refusal !== PASS) return refusal;
  }
  return PASS;
}

/** 8. The position of the backend that gets the attempt, or NO_MEMBER. */
export function pick(route: RouteTerms, tried: number, failed: number): number {
  return route.upstream.balancer.pick(tried, failed);
}

/** 9. The decision: forward to the backend at `position`, on the route's terms. */
export function decide(
  writer: DecisionWriter,
  compiled: Compiled,
  route: RouteTerms,
  position: number,
  tried: number,
  exchangeIndex: number,
  exchangeGeneration: number,
  isRetry: boolean,
): void {
  const slot = route.upstream.slots[position]!;
  const triedNow = position < TRIED_BITS ? tried | (1 << position) : tried;
  compiled.backends.take(slot);
  compiled.observer.attempted(slot, isRetry);
  writer.forward(exchangeIndex, exchangeGeneration, planOf(route, position), slot, packTag(compiled.epoch, triedNow, route.number), route);
}

function refuse(writer: DecisionWriter, compiled: Compiled, head: HeadReader, reason: number, route: number): void {
  const tag = packTag(compiled.epoch, 0, route);
  writer.respond(head.exchangeIndex, head.exchangeGeneration, reason, tag, EDGE_PLAN, answerFor(reason, head.requestId()));
}
