/**
 * The gate of an upstream: its bulkhead, and its adaptive limit where it has one. What an exchange
 * is turned away for, and what its end teaches.
 */

import { reasonByNumber, reasonNumber } from '../../base/errors.ts';
import { noteNumber } from '../../base/notes.ts';
import type { UpstreamSnapshot } from '../../config/snapshot/upstream.ts';
import { NONE } from '../../record/layout.ts';
import type { CompletionReader } from '../../record/read.ts';
import type { Subject } from '../../record/write.ts';
import { QUEUES_UPSTREAM } from '../memo.ts';
import type { Observer } from '../observer.ts';
import { AdaptiveLimit } from './concurrency/adaptive-limit.ts';
import { PRIORITIES, Shedding } from './concurrency/shedding.ts';
import type { placeLayout } from './places.ts';
import { Bulkhead, type BulkheadParts } from './queue/bulkhead.ts';
import { PASSES } from './verdict.ts';

const UPSTREAM_FULL = reasonNumber('upstream_full');
const CONCURRENCY_LIMITED = reasonNumber('concurrency_limited');
const EXCHANGE_TIMEOUT = reasonNumber('exchange_timeout');
const SHEDDING_BEGAN = noteNumber('shedding_began');
const SHEDDING_ENDED = noteNumber('shedding_ended');

/** An upstream that has shed nothing for so long has stopped. */
const QUIET_MS = 5_000;
const NO_LIMIT = Number.MAX_SAFE_INTEGER;

/** Statuses by which a backend itself says that it is asked too much. */
const OVERLOADED_STATUSES: readonly number[] = [429, 503, 504];

export interface UpstreamGateParts extends BulkheadParts {
  readonly table: SharedArrayBuffer;
  readonly layout: ReturnType<typeof placeLayout>;
  readonly observer: Observer;
}

export class UpstreamGate {
  readonly bulkhead: Bulkhead;
  private readonly number: number;
  private readonly adaptive: AdaptiveLimit | undefined;
  private readonly shedding: Shedding | undefined;
  private readonly observer: Observer;

  /** Undefined where the upstream has no limits. */
  static of(parts: () => UpstreamGateParts, upstream: UpstreamSnapshot, number: number): UpstreamGate | undefined {
    return upstream.bulkhead.max === 0 && upstream.concurrency === undefined ? undefined : new UpstreamGate(parts(), upstream, number);
  }

  private constructor(parts: UpstreamGateParts, { bulkhead, concurrency }: UpstreamSnapshot, number: number) {
    this.bulkhead = new Bulkhead(parts, bulkhead, PRIORITIES.length, UPSTREAM_FULL);
    this.number = number;
    this.adaptive = concurrency && new AdaptiveLimit(parts.table, parts.layout.concurrency(number), concurrency);
    this.shedding = concurrency && new Shedding(concurrency);
    this.observer = parts.observer;
  }

  /** Exchanges in flight that the latency allows now. */
  get limit(): number {
    return this.adaptive === undefined ? NO_LIMIT : this.adaptive.limit;
  }

  /** The verdict; who waits is to do so for `bulkhead.waitMs`. */
  enter(subject: Subject, priority: number, nowMs: number, mayWait: boolean): number {
    const { bulkhead, shedding, limit } = this;
    const hasQueued = (subject.memo0 & QUEUES_UPSTREAM) !== 0;
    if (shedding !== undefined && !hasQueued) {
      const verdict = shedding.verdict(priority, bulkhead.place.inFlight, limit);
      if (verdict !== PASSES) return this.shed(verdict, nowMs);
    }
    const verdict = hasQueued
      ? bulkhead.enterAgain(subject, priority, limit, nowMs, mayWait)
      : bulkhead.enter(subject, priority, limit, nowMs, mayWait);
    return verdict === UPSTREAM_FULL && bulkhead.place.inFlight >= limit ? this.shed(CONCURRENCY_LIMITED, nowMs) : verdict;
  }

  /**
   * What the end of an exchange says about how much the upstream can take. The exchange still has
   * its place. `random` is of [0, 1).
   */
  learn(completion: CompletionReader, nowMs: number, random: number): void {
    const { adaptive } = this;
    if (adaptive === undefined || completion.slot === NONE) return;
    const inFlight = this.bulkhead.place.inFlight;
    const status = completion.backendStatus;
    const hasFailed = completion.reason === EXCHANGE_TIMEOUT || reasonByNumber(completion.reason).side === 'upstream';
    if (hasFailed || OVERLOADED_STATUSES.includes(status)) adaptive.drop(inFlight, nowMs, random);
    // Errors tend to come quickly and are no measure of what an answer takes.
    else if (status !== 0 && status < 500) adaptive.sample(completion.awaitUs, inFlight, nowMs, random);
  }

  /** Says it when shedding has stopped. */
  sweep(nowMs: number): void {
    if (this.bulkhead.place.shedNoMore(nowMs, QUIET_MS)) this.observer.noted(SHEDDING_ENDED, this.number, -1, 0);
  }

  private shed(reason: number, nowMs: number): number {
    if (this.bulkhead.place.shed(nowMs)) this.observer.noted(SHEDDING_BEGAN, this.number, -1, reason);
    return reason;
  }
}
