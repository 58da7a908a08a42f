/**
 * Hedging: a second attempt beside a slow one, at another backend. The first response wins and the
 * reactor cancels the other attempt. A budget bounds the share of extra requests, so hedging is for
 * reads whose tail latency matters.
 */

import { noteNumber } from '../../base/notes.ts';
import { FORWARD_HEDGE } from '../../record/layout.ts';
import type { LateReader } from '../../record/read.ts';
import { NO_MEMBER } from '../balance/balancer.ts';
import type { Compiled } from '../compile.ts';
import { type DecideParts, holdsForFallback, prepareLater, send } from '../decide.ts';
import { memoPool } from '../memo.ts';
import { tagRoute, tagTried } from '../tag.ts';

const HEDGE_SENT = noteNumber('hedge_sent');
const DENIED_BUDGET = noteNumber('hedge_denied_budget');
const DENIED_BACKEND = noteNumber('hedge_denied_backend');

/** Answers a Late record with a hedge, or with nothing. `compiled` is the snapshot of its tag. */
export function hedge(parts: DecideParts, compiled: Compiled, late: LateReader): void {
  try {
    const route = compiled.routes.of(tagRoute(late.tag));
    const pool = compiled.pools[memoPool(late.memo0)];
    if (route === undefined || pool === undefined || route.hedge === undefined || !route.pools.includes(pool.number)) return;
    const tried = tagTried(late.tag);
    const position = pool.balancer.pick(late.memo1, tried, pool.slots.indexOf(late.slot));
    if (position === NO_MEMBER) {
      compiled.observer.noted(DENIED_BACKEND, pool.upstream, late.slot, 0);
      return;
    }
    if (!compiled.budgets.hedges[pool.upstream]!.take(compiled.backends.nowMs)) {
      compiled.observer.noted(DENIED_BUDGET, pool.upstream, late.slot, 0);
      return;
    }
    const { subject, forward } = parts;
    subject.exchangeIndex = late.exchangeIndex;
    subject.exchangeGeneration = late.exchangeGeneration;
    subject.memo0 = late.memo0;
    subject.memo1 = late.memo1;
    subject.memo2 = late.memo2;
    // A status that the route would retry must not win the race against the other attempt.
    prepareLater(forward, route, route.retry.isHolding || holdsForFallback(route, subject));
    forward.flags |= FORWARD_HEDGE;
    compiled.observer.noted(HEDGE_SENT, pool.upstream, pool.slots[position]!, 0);
    send(parts, compiled, route, pool, position, tried, true);
  } catch (error) {
    compiled.observer.laneFailed(error);
  }
}
