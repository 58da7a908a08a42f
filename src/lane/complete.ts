/**
 * Phase 16 of a request: complete. The one record that every exchange ends with becomes load samples, counters and an access line.
 */

import { reasonByNumber } from '../base/errors.ts';
import { COMPLETED_COMMITTED, COMPLETED_FROM_EDGE, NONE } from '../record/layout.ts';
import type { CompletionReader } from '../record/read.ts';
import type { Compiled } from './compile.ts';
import { NO_ROUTE } from './route/router.ts';
import { TAG_NO_ROUTE, tagRoute } from './tag.ts';

/** Counts `completion` under the snapshot of its tag. */
export function complete(compiled: Compiled, completion: CompletionReader): void {
  try {
    const slot = completion.slot === NONE ? -1 : completion.slot;
    if (slot !== -1) learn(compiled, completion, slot);
    const route = tagRoute(completion.tag);
    compiled.observer.completed(completion, route === TAG_NO_ROUTE ? NO_ROUTE : route, slot);
  } catch (error) {
    compiled.observer.laneFailed(error);
  }
}

/**
 * What the exchange says about its backend. Without a response head it says nothing here: a failure came as AttemptFailed, and a client that
 * left early is no one's answer. A failure after the head was passed on has come no other way.
 */
function learn(compiled: Compiled, completion: CompletionReader, slot: number): void {
  if (completion.backendStatus === 0 || (completion.flags & COMPLETED_FROM_EDGE) !== 0) return;
  if (completion.backendStatus >= 500) compiled.backends.sampleUnwell(slot, completion.awaitUs);
  else compiled.backends.sample(slot, completion.awaitUs);
  if (completion.reason === 0 || (completion.flags & COMPLETED_COMMITTED) === 0) return;
  if (reasonByNumber(completion.reason).side !== 'upstream') return;
  compiled.backends.fail(slot);
  compiled.observer.attemptFailed(slot, completion.reason);
}
