/**
 * A bulkhead: so many exchanges in flight, so many more waiting for a bounded time, the others
 * turned away at once. Places are counted for all shards together; each lane keeps its own waiters
 * in line, by priority and then as they came.
 *
 * Whoever frees a place takes it again on behalf of the first who waits and wakes it, so that
 * nobody who comes later can be faster. A place that another shard freed wakes nobody here: where
 * there are several shards, waiters look again by themselves, the first every few milliseconds and
 * those behind it the more rarely the farther they are. All look now and then: a successor of this
 * worker would know nobody to wake.
 */

import { reasonNumber } from '../../../base/errors.ts';
import type { BulkheadSnapshot } from '../../../config/snapshot/limit.ts';
import { WAKE_BYTES } from '../../../record/layout.ts';
import type { DecisionWriter, Subject } from '../../../record/write.ts';
import type { Place } from '../places.ts';
import { PASSES, WAITS } from '../verdict.ts';
import { GRANTED, NO_TICKET, WAITS_STILL, WaitLine } from './wait-line.ts';

/**
 * Room that there must be to wake somebody, so that the decision that is under way has its own all
 * the same.
 */
const WAKE_ROOM_BYTES = 32_768 + WAKE_BYTES;

/** How often the first of the line looks for places that other shards freed. */
const LOOK_MS = 5;
/**
 * How often a lane leaves a place to those who wait in others, and for how long: until they must
 * have looked.
 */
const LEAVE_EVERY_MS = 50;
const LEAVE_MS = LOOK_MS + 1;
/** How often everybody looks. */
const LOOK_AT_LEAST_MS = 250;

const QUEUE_TIMEOUT = reasonNumber('queue_timeout');

export interface BulkheadParts {
  readonly place: Place;
  readonly writer: DecisionWriter;
  /** More than one: places become free without this lane being told. */
  readonly shards: number;
  /**
   * Bulkheads that could not wake all they have places for, because the reactor had no room: to be
   * asked again in the next turn (`grantOwed`).
   */
  readonly owed: { grantOwed(nowMs: number): void }[];
}

export class Bulkhead {
  readonly place: Place;
  /** For how long the last one that waits is to do so before it looks again. */
  waitMs = 0;
  /** Why one is refused for whom there is no place. */
  private readonly fullReason: number;
  private readonly max: number;
  private readonly queue: number;
  private readonly timeoutMs: number;
  private readonly writer: DecisionWriter;
  private readonly isShared: boolean;
  /** By priority, the least first. */
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
   * The verdict on an exchange that has not asked for a place yet; it joins the line
   * (`subject.memo1` is its ticket) when there is none and it `mayWait`.
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
   * The verdict on one that waited and is here again, because it was granted a place, or to look
   * for one, or because its time is over.
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

  /** A place is free: it goes to the first who waits, now and then to the first in another lane. */
  giveBack(limit: number, nowMs: number): void {
    this.place.giveBack();
    if (this.count === 0) return;
    // A lane whose exchanges end often would otherwise never let those in, in whose lane none ends.
    if (this.isShared && this.place.waiting > this.count && nowMs >= this.leftAtMs + LEAVE_EVERY_MS) this.leftAtMs = nowMs;
    this.grant(limit, nowMs);
  }

  /** What there was no room to write in the turn before. */
  grantOwed(nowMs: number): void {
    const limit = this.owedLimit;
    this.owedLimit = 0;
    this.grant(limit, nowMs);
  }

  /** A place that was taken in an earlier life is free. */
  giveBackEarlier(limit: number, nowMs: number): void {
    this.place.giveBackEarlier();
    this.grant(limit, nowMs);
  }

  /** Free places go to those who wait. */
  private grant(limit: number, nowMs: number): void {
    const cap = this.cap(limit) - (nowMs < this.leftAtMs + LEAVE_MS ? 1 : 0);
    while (this.count > 0) {
      if (!this.writer.hasRoom(WAKE_ROOM_BYTES)) {
        if (this.owedLimit === 0) this.owed.push(this);
        this.owedLimit = limit;
        return;
      }
      if (!this.place.take(cap)) return;
      const line = this.firstLine();
      const ticket = line.longest();
      line.grant(ticket);
      this.counted(-1);
      this.place.leave();
      this.writer.wake(line.indexOf(ticket), line.generationOf(ticket));
    }
  }

  /** Neither a place is free nor one to wait in. */
  get isFull(): boolean {
    return this.place.inFlight >= this.max && this.place.waiting >= this.queue;
  }

  /** When a place can be expected, ms: those who wait take theirs first. */
  expectedMs(): number {
    const { place } = this;
    return ((place.waiting + 1) * place.heldMs) / Math.max(1, Math.min(this.max, place.inFlight));
  }

  private cap(limit: number): number {
    return Math.min(this.max, limit);
  }

  /**
   * Who waits and is not of a lower priority than a newcomer; of those in other lanes that is not
   * known, they count.
   */
  private waitingBefore(priority: number): number {
    let waiting = this.queue === 0 ? 0 : this.place.waiting;
    if (waiting === 0) return 0;
    for (let i = 0; i < priority; i++) waiting -= this.lines[i]!.count;
    return Math.max(0, waiting);
  }

  private nextLook(line: WaitLine, ticket: number, nowMs: number): number {
    const leftMs = Math.ceil(line.since(ticket) + this.timeoutMs - nowMs);
    return Math.min(leftMs, LOOK_AT_LEAST_MS, this.isShared ? LOOK_MS * (1 + line.ahead(ticket)) : leftMs);
  }

  private firstLine(): WaitLine {
    let i = this.lines.length - 1;
    while (this.lines[i]!.count === 0) i -= 1;
    return this.lines[i]!;
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
