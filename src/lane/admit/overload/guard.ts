/**
 * The guard of an upstream without limits of its own.
 *
 * While there is a queue in front of the backends (`./standing-queue.ts`), the excess waits here
 * instead. Waiting here costs the backends nothing, and exchanges whose clients leave are never
 * sent. Those who wait are served in order, because every burst ends. When the queue does not end,
 * the newest are served first and nobody waits long: in order, every answer would come too late. A
 * lane keeps its own numbers; the place table shows what others want to see.
 */

import { reasonNumber } from '../../../base/errors.ts';
import { noteNumber } from '../../../base/notes.ts';
import type { OverloadSnapshot } from '../../../config/snapshot/limit.ts';
import type { UpstreamSnapshot } from '../../../config/snapshot/upstream.ts';
import { WAKE_BYTES } from '../../../record/layout.ts';
import type { CompletionReader } from '../../../record/read.ts';
import type { DecisionWriter, Subject } from '../../../record/write.ts';
import { QUEUES_UPSTREAM } from '../../memo.ts';
import type { Observer } from '../../observer.ts';
import { PRIORITIES } from '../concurrency/shedding.ts';
import type { Place } from '../places.ts';
import { firstLine, GRANTED, NO_TICKET, WAITS_STILL, WaitLine, waitingBelow } from '../queue/wait-line.ts';
import { PASSES, WAITS } from '../verdict.ts';
import type { StandingQueue } from './standing-queue.ts';

const CONCURRENCY_LIMITED = reasonNumber('concurrency_limited');
const QUEUE_TIMEOUT = reasonNumber('queue_timeout');
const SHEDDING_BEGAN = noteNumber('shedding_began');
const SHEDDING_ENDED = noteNumber('shedding_ended');

/** Room that waking needs, so that the decision under way still fits. */
const WAKE_ROOM_BYTES = 32_768 + WAKE_BYTES;
/** An upstream that shed nothing for this long has stopped shedding. */
const QUIET_MS = 5_000;
/**
 * Interval at which every waiting exchange checks again: limits change without an exchange that
 * ends.
 */
const LOOK_MS = 250;
/**
 * A wait longer than this share of the maximum is long. A queue that had no shorter wait for that
 * time, and does not shrink, is a standing one.
 */
const LONG = 1 / 5;
const FOR_LONG = 2 / 5;
/** Interval of the check whether the queue shrinks, and whether more left it than were served. */
const COUNT_MS = 500;

/** Whether an upstream has a guard. Limits of its own replace it. */
export function isGuarded({ overload, bulkhead, concurrency }: UpstreamSnapshot): boolean {
  return overload.isGuarded && bulkhead.max === 0 && concurrency === undefined;
}

export interface GuardParts {
  readonly place: Place;
  readonly writer: DecisionWriter;
  readonly observer: Observer;
  readonly queue: StandingQueue;
  /** Guards that had places to grant but no room to wake anybody. */
  readonly owed: { grantOwed(nowMs: number): void }[];
}

export class OverloadGuard {
  readonly queue: StandingQueue;
  /** How long the exchange that waits next is to wait before it checks again. */
  waitMs = 0;
  private readonly terms: OverloadSnapshot;
  private readonly number: number;
  private readonly place: Place;
  private readonly writer: DecisionWriter;
  private readonly observer: Observer;
  private readonly owed: GuardParts['owed'];
  private isOwed = false;
  /** By priority, lowest first; empty until somebody waits. */
  private lines: readonly WaitLine[] = [];
  private count = 0;
  /** The queue is a standing one, or was until recently. */
  private isStanding = false;
  private emptyAtMs = Number.NEGATIVE_INFINITY;
  /** Since when nobody was served after a short wait. */
  private longSinceMs = Number.POSITIVE_INFINITY;
  /**
   * The last check: its time, how many waited, and whether the queue had shrunk because exchanges
   * were served.
   */
  private countedAtMs = 0;
  private countThen = 0;
  private isEnding = false;
  private served = 0;
  private left = 0;

  constructor({ place, writer, observer, queue, owed }: GuardParts, terms: OverloadSnapshot, number: number) {
    this.place = place;
    this.writer = writer;
    this.observer = observer;
    this.queue = queue;
    this.owed = owed;
    this.terms = terms;
    this.number = number;
  }

  /** The verdict. An exchange that has to wait does so for `waitMs`. */
  enter(subject: Subject, priority: number, nowMs: number, mayWait: boolean): number {
    if ((subject.memo0 & QUEUES_UPSTREAM) !== 0) {
      const line = this.lines[priority];
      const ticket = subject.memo1;
      if (line !== undefined && line.state(ticket, subject.exchangeIndex, subject.exchangeGeneration) !== 0) {
        return this.enterAgain(subject, line, ticket, nowMs);
      }
    }
    const { queue } = this;
    if (queue.inFlight < queue.limit && this.waitingBefore(priority) === 0) {
      queue.enterLimited(nowMs);
      return PASSES;
    }
    queue.press(nowMs);
    if (!mayWait || !this.join(subject, priority, nowMs)) {
      if (queue.isProven(nowMs)) return this.shed(CONCURRENCY_LIMITED, nowMs);
      queue.enter(nowMs);
      return PASSES;
    }
    return WAITS;
  }

  /** An exchange that was sent has ended. */
  completed(completion: CompletionReader, nowMs: number): void {
    const heldUs = completion.totalUs - completion.decideUs;
    const status = completion.backendStatus;
    if (status === 0) {
      this.queue.leaveUnanswered(nowMs, heldUs);
      if (this.count > 0) this.left += 1;
    }
    // Errors tend to come quickly and say nothing about latency.
    else this.queue.leave(nowMs, heldUs, status < 500 ? completion.openUs + completion.awaitUs : 0);
    if (this.count > 0) this.grant(nowMs);
  }

  /** An exchange that was let in is not sent after all. */
  giveBack(nowMs: number): void {
    this.queue.takeBack();
    this.grant(nowMs);
  }

  /** The exchange ended while it waited. */
  abandon(exchangeIndex: number, exchangeGeneration: number, ticket: number, priority: number, nowMs: number): void {
    const line = this.lines[priority];
    if (line === undefined) return;
    const state = line.state(ticket, exchangeIndex, exchangeGeneration);
    if (state === WAITS_STILL) {
      this.left += 1;
      this.leave(line, ticket, nowMs);
    } else if (state === GRANTED) {
      line.end(ticket);
      this.giveBack(nowMs);
    }
  }

  /** Grants what there was no room for in the turn before. */
  grantOwed(nowMs: number): void {
    this.isOwed = false;
    this.grant(nowMs);
  }

  /** When a place is expected, ms. */
  expectedMs(): number {
    const { rate } = this.queue;
    return rate === 0 ? 0 : (this.count + 1) / rate;
  }

  /** Publishes what others want to know, at intervals. */
  sweep(nowMs: number): void {
    const { queue, place } = this;
    place.showLimit(queue.isOpen ? 0 : Math.max(1, Math.floor(queue.limit)));
    if (this.count > 0) this.grant(nowMs);
    if (place.shedNoMore(nowMs, QUIET_MS)) this.observer.noted(SHEDDING_ENDED, this.number, -1, 0);
  }

  private join(subject: Subject, priority: number, nowMs: number): boolean {
    const { place, terms } = this;
    if (!place.join(terms.queue)) return this.fill(nowMs);
    if (this.lines.length === 0) this.lines = PRIORITIES.map(() => new WaitLine(terms.queue));
    const line = this.lines[priority]!;
    const ticket = line.join(subject.exchangeIndex, subject.exchangeGeneration, nowMs);
    if (ticket === NO_TICKET) {
      place.leave();
      return this.fill(nowMs);
    }
    if (this.count === 0) this.began(nowMs);
    this.counted(1, nowMs);
    subject.memo1 = ticket;
    this.waitMs = this.leftMs(line, ticket, nowMs);
    return true;
  }

  /** A full queue is a standing one. */
  private fill(nowMs: number): false {
    if (this.queue.isProven(nowMs)) this.isStanding = true;
    return false;
  }

  private enterAgain(subject: Subject, line: WaitLine, ticket: number, nowMs: number): number {
    const { queue } = this;
    this.grant(nowMs);
    if (line.state(ticket, subject.exchangeIndex, subject.exchangeGeneration) === GRANTED) {
      line.end(ticket);
      return PASSES;
    }
    queue.press(nowMs);
    this.judge(nowMs);
    this.waitMs = this.leftMs(line, ticket, nowMs);
    if (this.waitMs > 0) return WAITS;
    this.leave(line, ticket, nowMs);
    if (queue.isProven(nowMs)) {
      this.isStanding = true;
      return this.shed(QUEUE_TIMEOUT, nowMs);
    }
    // There is no sign of a queue.
    queue.giveUp(nowMs);
    queue.enter(nowMs);
    this.grant(nowMs);
    return PASSES;
  }

  /** Lets waiting exchanges go on, up to the limit. */
  private grant(nowMs: number): void {
    const { queue } = this;
    while (this.count > 0 && queue.inFlight < queue.limit) {
      if (!this.writer.hasRoom(WAKE_ROOM_BYTES)) {
        if (!this.isOwed) this.owed.push(this);
        this.isOwed = true;
        return;
      }
      const line = firstLine(this.lines);
      const ticket = this.isStanding ? line.newest() : line.longest();
      this.note(nowMs - line.since(ticket), nowMs);
      line.grant(ticket);
      queue.enterLimited(nowMs);
      this.served += 1;
      this.place.leave();
      this.writer.wake(line.indexOf(ticket), line.generationOf(ticket));
      this.counted(-1, nowMs);
    }
    if (this.count > 0) this.judge(nowMs);
  }

  /**
   * Decides whether the queue is a standing one: nobody had a short wait for a while, or more left
   * it than were served.
   */
  private judge(nowMs: number): void {
    if (this.isStanding || this.count === 0) return;
    const isLong = nowMs - this.longSinceMs >= this.terms.maxWaitMs * FOR_LONG;
    let isLeft = false;
    if (nowMs - this.countedAtMs >= COUNT_MS) {
      isLeft = this.left > this.served;
      this.isEnding = this.count + this.left < this.countThen;
      this.countAnew(nowMs);
    }
    this.isStanding = ((isLong && !this.isEnding) || isLeft) && this.queue.isProven(nowMs);
  }

  /** An exchange is served after `ms`. */
  private note(ms: number, nowMs: number): void {
    if (ms < this.terms.maxWaitMs * LONG) this.longSinceMs = Number.POSITIVE_INFINITY;
    else if (this.longSinceMs > nowMs) this.longSinceMs = nowMs;
  }

  private began(nowMs: number): void {
    if (nowMs - this.emptyAtMs >= this.terms.maxWaitMs * FOR_LONG) this.isStanding = false;
    this.longSinceMs = Number.POSITIVE_INFINITY;
    this.isEnding = false;
    this.countAnew(nowMs);
  }

  private countAnew(nowMs: number): void {
    this.countedAtMs = nowMs;
    this.countThen = this.count;
    this.served = 0;
    this.left = 0;
  }

  private leftMs(line: WaitLine, ticket: number, nowMs: number): number {
    const mostMs = this.isStanding ? this.terms.standingWaitMs : this.terms.maxWaitMs;
    return Math.min(LOOK_MS, Math.ceil(line.since(ticket) + mostMs - nowMs));
  }

  /** How many wait whose priority is not lower than a newcomer's. */
  private waitingBefore(priority: number): number {
    return this.count === 0 ? 0 : this.count - waitingBelow(this.lines, priority);
  }

  private leave(line: WaitLine, ticket: number, nowMs: number): void {
    line.end(ticket);
    this.place.leave();
    this.counted(-1, nowMs);
    if (this.count > 0) this.judge(nowMs);
  }

  private counted(by: number, nowMs: number): void {
    this.count += by;
    if (this.count === 0) this.emptyAtMs = nowMs;
    this.writer.addWaiting(by);
  }

  private shed(reason: number, nowMs: number): number {
    this.place.refused();
    if (this.place.shed(nowMs)) this.observer.noted(SHEDDING_BEGAN, this.number, -1, reason);
    return reason;
  }
}
