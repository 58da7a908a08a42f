/**
 * Phase 16 of a request: complete. Turns the record that ends every exchange into load samples,
 * counters and an access line.
 */

import { reasonByNumber } from '../base/errors.ts';
import { noteNumber } from '../base/notes.ts';
import {
  COMPLETED_COMMITTED,
  COMPLETED_CONNECTION_AUTH,
  COMPLETED_FROM_EDGE,
  COMPLETED_HEDGE_WON,
  COMPLETED_HEDGED,
  COMPLETED_WAITING,
  NONE,
} from '../record/layout.ts';
import type { CompletionReader } from '../record/read.ts';
import type { Compiled } from './compile.ts';
import { HEDGE_IS_PROBE, IS_PROBE, memoPool, memoTenant } from './memo.ts';
import { NO_ROUTE } from './route/router.ts';
import { TAG_NO_ROUTE, tagRoute } from './tag.ts';

const HEDGE_WON = noteNumber('hedge_won');
const HEDGE_WASTED = noteNumber('hedge_wasted');
const CONNECTION_AUTH = noteNumber('connection_auth');

/** Counts `completion` under the snapshot of its tag. */
export function complete(compiled: Compiled, completion: CompletionReader): void {
  try {
    const slot = completion.slot === NONE ? -1 : completion.slot;
    const tagged = tagRoute(completion.tag);
    const route = tagged === TAG_NO_ROUTE ? NO_ROUTE : tagged;
    if (slot !== -1) learn(compiled, completion, slot, route);
    if (route !== NO_ROUTE) compiled.admission.completed(completion, route, compiled.pools[memoPool(completion.memo0)]?.upstream ?? -1);
    compiled.observer.completed(completion, route, slot, memoTenant(completion.memo2));
  } catch (error) {
    compiled.observer.laneFailed(error);
  }
}

/**
 * Learns from the exchange about its backend. Without a response head there is nothing to learn
 * here: failures came as AttemptFailed, and a client that left early says nothing. A failure after
 * the head was committed is only reported here.
 */
function learn(compiled: Compiled, completion: CompletionReader, slot: number, route: number): void {
  const { backends, standing, observer } = compiled;
  const isHedgeWinner = (completion.flags & COMPLETED_HEDGE_WON) !== 0;
  const isProbe = (completion.memo0 & (isHedgeWinner ? HEDGE_IS_PROBE : IS_PROBE)) !== 0;
  if ((completion.flags & COMPLETED_HEDGED) !== 0) learnOfHedge(compiled, completion, slot, isHedgeWinner);
  if ((completion.flags & (COMPLETED_FROM_EDGE | COMPLETED_WAITING)) !== 0) {
    // The attempt was judged when it failed. One that the edge itself cut off says nothing.
    if (isProbe) standing.abandoned(slot, true);
    return;
  }
  if (completion.backendStatus === 0) {
    standing.abandoned(slot, isProbe);
    return;
  }
  if ((completion.flags & COMPLETED_CONNECTION_AUTH) !== 0) tellOfConnectionAuth(compiled, completion, slot);
  if (completion.backendStatus >= 500) backends.sampleUnwell(slot, completion.awaitUs);
  else backends.sample(slot, completion.awaitUs);
  if (route !== NO_ROUTE) compiled.routes.of(route)?.hedge?.sample(completion.awaitUs);
  const isCutShort =
    completion.reason !== 0 && (completion.flags & COMPLETED_COMMITTED) !== 0 && reasonByNumber(completion.reason).side === 'upstream';
  if (!isCutShort) {
    standing.responded(slot, completion.backendStatus, completion.grpcStatus, completion.retryAfterS, isProbe);
    return;
  }
  backends.fail(slot);
  standing.failed(slot, completion.reason, isProbe);
  observer.attemptFailed(slot, completion.reason);
}

/** Reported once per upstream; the metrics say how much it costs. */
function tellOfConnectionAuth(compiled: Compiled, completion: CompletionReader, slot: number): void {
  const upstream = compiled.pools[memoPool(completion.memo0)]?.upstream ?? -1;
  if (compiled.connectionAuth.has(upstream)) return;
  compiled.connectionAuth.add(upstream);
  compiled.observer.noted(CONNECTION_AUTH, upstream, slot, 0);
}

function learnOfHedge(compiled: Compiled, completion: CompletionReader, slot: number, isHedgeWinner: boolean): void {
  const pool = compiled.pools[memoPool(completion.memo0)];
  if (completion.backendStatus !== 0) compiled.observer.noted(isHedgeWinner ? HEDGE_WON : HEDGE_WASTED, pool?.upstream ?? -1, slot, 0);
  if (completion.loserSlot === NONE) return;
  // The losing attempt took at least this long, so its latency may rise but not fall.
  compiled.backends.sampleUnwell(completion.loserSlot, completion.loserUs);
  compiled.standing.abandoned(completion.loserSlot, (completion.memo0 & (isHedgeWinner ? IS_PROBE : HEDGE_IS_PROBE)) !== 0);
}
