/**
 * Phase 7, admit: who may come in, how many at once, how many a second. Asked in two steps: before it is known where the request goes (access lists, rate limits, places of
 * tenant and route), and when its upstream is known (its places, its concurrency limit). What was taken stands in the memo and is given back at the end.
 */

import type { Snapshot } from '../../config/snapshot.ts';
import type { CompletionReader, HeadReader } from '../../record/read.ts';
import type { Answer, DecisionWriter, Subject } from '../../record/write.ts';
import type { Client } from '../head/client.ts';
import type { Observer } from '../observer.ts';
import type { Random } from '../random.ts';
import type { SharedState } from '../shared.ts';

/** Nothing against it. */
export const PASS = 0;
/** The exchange was told to wait (a Wait record is written): there is nothing more to decide now. */
export const WAITS = -1;

export interface AdmissionParts {
  readonly snapshot: Snapshot;
  readonly shared: SharedState;
  readonly observer: Observer;
  readonly random: Random;
  readonly writer: DecisionWriter;
  /** Has the reactor take what was written between its turns: for answers that came from a store. */
  readonly kick: () => void;
  /** The shard's memory, in which heads lie. */
  readonly bytes: Uint8Array;
}

export class Admission {
  /** Milliseconds; set once a turn. */
  nowMs = 0;
  constructor(_parts: AdmissionParts) {}

  /** A new turn. */
  begin(nowMs: number): void {
    this.nowMs = nowMs;
  }

  /** Fields for the answer to the refusal just made (Retry-After, RateLimit), once: the next call gives none. */
  takeAnswerFields(): Answer['fields'] {
    return [];
  }

  /** Before the upstream is known: PASS, WAITS or the reason of the refusal. Takes places into `subject`'s memo. */
  admit(_head: HeadReader, _client: Client, _route: number, _tenant: number, _subject: Subject): number {
    return PASS;
  }

  /**
   * When the upstream is known. `ageUs` is how long the exchange has been here; without `mayWait` (an exchange that comes from a failed attempt) a full upstream
   * refuses at once.
   */
  admitTo(_upstream: number, _route: number, _subject: Subject, _ageUs: number, _mayWait: boolean): number {
    return PASS;
  }

  /** Gives back what the memo says is held, of an exchange that is answered without having been sent, or that goes to another upstream (`isUpstreamOnly`). */
  release(_subject: Subject, _route: number, _upstream: number, _isUpstreamOnly: boolean): void {}

  /** The exchange ended: gives back its places, learns its latency, and wakes who waits. */
  completed(_completion: CompletionReader, _route: number, _upstream: number): void {}
}
