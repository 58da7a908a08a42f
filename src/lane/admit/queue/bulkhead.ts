/**
 * A bulkhead: a bounded number of exchanges in flight, a bounded queue with a bounded wait, and
 * everything else turned away at once.
 *
 * Places are counted for all shards together; each lane queues its own exchanges, by priority and
 * then in order. Whoever frees a place takes it again on behalf of the first in the queue and wakes
 * that one, so that no newcomer can be faster. A place that another shard freed wakes nobody here.
 * With several shards the queue is therefore polled: the first every few milliseconds, the others
 * less often the further back they are. Every waiting exchange checks now and then, because the
 * successor of this worker would not know whom to wake.
 */

import { reasonNumber } from '../../../base/errors.ts';
import type { BulkheadSnapshot } from '../../../config/snapshot/limit.ts';
import { WAKE_BYTES } from '../../../record/layout.ts';
import type { DecisionWriter, Subject } from '../../../record/write.ts';
import type { Place } from '../places.ts';
import { PASSES, WAITS } from '../verdict.ts';
import { firstLine, GRANTED, NO_TICKET, WAITS_STILL, WaitLine, waitingBelow } from './wait-line.ts';

/** Room that waking needs, so that the decision under way still fits. */
const WAKE_ROOM_BYTES = 32_768 + WAKE_BYTES;

/** Interval at which the first in the queue checks for places that other shards freed. */
const LOOK_MS = 5;
/**
 * How often a lane leaves a free place to the queues of other lanes, and for how long: until they
 * must have checked.
 */
const LEAVE_EVERY_MS = 50;
const LEAVE_MS = LOOK_MS + 1;
/** Longest interval between checks. */
const LOOK_AT_LEAST_MS = 250;

const QUEUE_TIMEOUT = reasonNumber('queue_timeout');

export interface BulkheadParts {
  readonly place: Place;
  readonly writer: DecisionWriter;
  /** With more than one, places become free without this lane's knowledge. */
  readonly shards: number;
  /**
   * Bulkheads that had places to grant but no room to wake anybody; the next turn asks them again
   * (`grantOwed`).
   */
  readonly owed: { grantOwed(nowMs: number): void }[];
}

export class Bulkhead {
  readonly place: Place;
  /** How long the exchange that was queued last is to wait before it checks again. */
  waitMs = 0;
  /** The reason given when there is no place. */
  private readonly fullReason: number;
  private readonly max: number;
  private readonly queue: number;
  private readonly timeoutMs: number;
  private readonly writer: DecisionWriter;
  private readonly isShared: boolean;
  /** By priority, lowest first. */
  private readonly lines: readonly WaitLine[];
  /** How many wait in this lane. */
  private count = 0;
  private readonly owed: BulkheadParts['owed'];
  private owedLimit = 0;
  private leftAtMs = 0;

  constructor({ place, writer, shards, owed }: BulkheadParts, terms: BulkheadSnapshot, priorities: number, fullReason: number) {
    this.place = place;
    this.writer = writer;
    this.isShared = shards > 1;
    this.owed = owed;
    this.fullReason = fullReason;
    this.max = terms.max === 0 ? Number.MAX_SAFE_INTEGER : terms.max;
    this.queue = terms.queue;
    this.timeoutMs = terms.queueTimeoutMs;
    this.lines = terms.queue === 0 ? [] : Array.from({ length: priorities }, () => new WaitLine(terms.queue));
  }

  /**
   * The verdict on an exchange that asks for the first time. If there is no place and it `mayWait`,
   * it is queued, and `subject.memo1` is its ticket.
   */
  enter(subject: Subject, priority: number, limit: number, nowMs: number, mayWait: boolean): number {
    const { place } = this;
    if (place.take(this.cap(limit) - this.waitingBefore(priority))) return PASSES;
    if (mayWait && this.queue > 0 && place.join(this.queue)) {
      const line = this.lines[priority]!;
      const ticket = line.join(subject.exchangeIndex, subject.exchangeGeneration, nowMs);
      if (ticket !== NO_TICKET) {
        this.counted(1);
        subject.memo1 = ticket;
        this.waitMs = this.nextLook(line, ticket, nowMs);
        return WAITS;
      }
      place.leave();
    }
    place.refused();
    return this.fullReason;
  }

  /**
   * The verdict on an exchange that waited: it was granted a place, checks for one, or its time is
   * over.
   */
  enterAgain(subject: Subject, priority: number, limit: number, nowMs: number, mayWait: boolean): number {
    const line = this.lines[priority];
    const ticket = subject.memo1;
    if (line === undefined || line.state(ticket, subject.exchangeIndex, subject.exchangeGeneration) === 0) {
      return this.enter(subject, priority, limit, nowMs, mayWait);
    }
    this.grant(limit, nowMs);
    if (line.state(ticket, subject.exchangeIndex, subject.exchangeGeneration) === GRANTED) {
      line.end(ticket);
      return PASSES;
    }
    this.waitMs = this.nextLook(line, ticket, nowMs);
    if (this.waitMs > 0) return WAITS;
    this.leave(line, ticket);
    this.place.refused();
    return QUEUE_TIMEOUT;
  }

  /** The exchange ended while it waited. */
  abandon(exchangeIndex: number, exchangeGeneration: number, ticket: number, priority: number, limit: number, nowMs: number): void {
    const line = this.lines[priority];
    if (line === undefined) return;
    const state = line.state(ticket, exchangeIndex, exchangeGeneration);
    if (state === WAITS_STILL) this.leave(line, ticket);
    else if (state === GRANTED) {
      line.end(ticket);
      this.giveBack(limit, nowMs);
    }
  }

  /** A place is free: it goes to the first in this queue, or now and then to another lane's. */
  giveBack(limit: number, nowMs: number): void {
    this.place.giveBack();
    if (this.count === 0) return;
    // Otherwise a lane whose exchanges end often would starve the queue of a lane in which none
    // ends.
    if (this.isShared && this.place.waiting > this.count && nowMs >= this.leftAtMs + LEAVE_EVERY_MS) this.leftAtMs = nowMs;
    this.grant(limit, nowMs);
  }

  /** Grants what there was no room for in the turn before. */
  grantOwed(nowMs: number): void {
    const limit = this.owedLimit;
    this.owedLimit = 0;
    this.grant(limit, nowMs);
  }

  /** A place that an earlier worker took is free. */
  giveBackEarlier(limit: number, nowMs: number): void {
    this.place.giveBackEarlier();
    this.grant(limit, nowMs);
  }

  /** Grants free places to those who wait. */
  private grant(limit: number, nowMs: number): void {
    const cap = this.cap(limit) - (nowMs < this.leftAtMs + LEAVE_MS ? 1 : 0);
    while (this.count > 0) {
      if (!this.writer.hasRoom(WAKE_ROOM_BYTES)) {
        if (this.owedLimit === 0) this.owed.push(this);
        this.owedLimit = limit;
        return;
      }
      if (!this.place.take(cap)) return;
      const line = firstLine(this.lines);
      const ticket = line.longest();
      line.grant(ticket);
      this.counted(-1);
      this.place.leave();
      this.writer.wake(line.indexOf(ticket), line.generationOf(ticket));
    }
  }

  /** Neither a free place nor room in the queue. */
  get isFull(): boolean {
    return this.place.inFlight >= this.max && this.place.waiting >= this.queue;
  }

  /** When a place is expected, ms: those who wait come first. */
  expectedMs(): number {
    const { place } = this;
    return ((place.waiting + 1) * place.heldMs) / Math.max(1, Math.min(this.max, place.inFlight));
  }

  private cap(limit: number): number {
    return Math.min(this.max, limit);
  }

  /**
   * How many wait whose priority is not lower than a newcomer's. The priorities of other lanes'
   * queues are not known; all of those count.
   */
  private waitingBefore(priority: number): number {
    const waiting = this.queue === 0 ? 0 : this.place.waiting;
    return waiting === 0 ? 0 : Math.max(0, waiting - waitingBelow(this.lines, priority));
  }

  private nextLook(line: WaitLine, ticket: number, nowMs: number): number {
    const leftMs = Math.ceil(line.since(ticket) + this.timeoutMs - nowMs);
    return Math.min(leftMs, LOOK_AT_LEAST_MS, this.isShared ? LOOK_MS * (1 + line.ahead(ticket)) : leftMs);
  }

  private leave(line: WaitLine, ticket: number): void {
    line.end(ticket);
    this.counted(-1);
    this.place.leave();
  }

  private counted(by: number): void {
    this.count += by;
    this.writer.addWaiting(by);
  }
}
