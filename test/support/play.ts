/**
 * Exchanges played against real lanes: a reactor that keeps what it is told (tags, memos, waits),
 * offers again what was woken or has waited long enough, and completes what was answered. Several
 * lanes may share the tables of a snapshot, as shards do. Time stands still until told.
 */

import type { Snapshot } from '../../src/config/snapshot/snapshot.ts';
import { createLane, type Lane } from '../../src/lane/lane.ts';
import type { Observer } from '../../src/lane/observer.ts';
import { createSharedState, type SharedState } from '../../src/lane/shared.ts';
import { COMPLETED_COMMITTED, COMPLETED_FROM_EDGE, COMPLETED_WAITING, HEAD_WAITED, NONE } from '../../src/record/layout.ts';
import { type Noted, noteInto } from './lanes.ts';
import { type Decision, ReactorSide, type SampleCompletion, type SampleHead, sampleCompletion, sampleHead } from './records.ts';

export interface Exchange {
  readonly head: SampleHead;
  readonly lane: number;
  readonly arrivedMs: number;
  state: 'offered' | 'waiting' | 'forwarded' | 'answered' | 'ended';
  tag: number;
  memo: [number, number, number];
  /** While waiting: when it is offered again. */
  untilMs: number;
  /** How often it was offered. */
  offers: number;
  forwardedMs: number;
  slot: number;
  /** Of the edge's own answer. */
  status: number;
  reason: number;
  fields: Record<string, string>;
}

interface Seat {
  lane: Lane;
  readonly reactor: ReactorSide;
  readonly noted: Noted;
  readonly observer: Observer;
  kicks: number;
}

export class Play {
  nowMs = 1_000_000;
  readonly snapshot: Snapshot;
  readonly shared: SharedState;
  readonly seats: Seat[] = [];
  private readonly exchanges = new Map<number, Exchange>();
  private nextIndex = 0;

  constructor(snapshot: Snapshot, shared: SharedState = createSharedState(snapshot)) {
    this.snapshot = snapshot;
    this.shared = shared;
    for (let shard = 0; shard < snapshot.shards.count; shard++) {
      const reactor = new ReactorSide();
      const noted: Noted = { attempts: [], failures: [], notes: [], errors: [], completions: [], turns: [] };
      this.seats.push({ lane: this.laneOf(shard, reactor, noted), reactor, noted, observer: noteInto(noted), kicks: 0 });
    }
  }

  get noted(): Noted {
    return this.seats[0]!.noted;
  }

  /** A head comes in and is decided. */
  ask(head: Partial<SampleHead> = {}, lane = 0): Exchange {
    const exchange = this.arrive(head, lane);
    this.turn();
    return exchange;
  }

  /** Many of the same. */
  askAll(count: number, head: Partial<SampleHead> = {}, lane = 0): Exchange[] {
    const all = Array.from({ length: count }, () => this.arrive(head, lane));
    this.turn();
    return all;
  }

  /** A head comes in with the next turn. */
  arrive(head: Partial<SampleHead> = {}, lane = 0): Exchange {
    const index = this.nextIndex++;
    const exchange: Exchange = {
      head: sampleHead({ ...head, index, generation: 7 }),
      lane,
      arrivedMs: this.nowMs,
      state: 'offered',
      tag: NONE,
      memo: [0, 0, 0],
      untilMs: 0,
      offers: 0,
      forwardedMs: 0,
      slot: NONE,
      status: 0,
      reason: 0,
      fields: {},
    };
    this.exchanges.set(index, exchange);
    this.offer(exchange);
    return exchange;
  }

  /** The exchange ends; with nothing said, by a 200 of the backend. */
  finish(exchange: Exchange, given: Partial<SampleCompletion> = {}): void {
    this.end(exchange, { slot: exchange.slot, awaitUs: 800, ...given });
    this.turn();
  }

  /** The same, told to the lane with the next turn. */
  end(exchange: Exchange, given: Partial<SampleCompletion> = {}): void {
    const wasWaiting = exchange.state === 'waiting';
    exchange.state = 'ended';
    this.exchanges.delete(exchange.head.index);
    const [memo0, memo1, memo2] = exchange.memo;
    const { index, generation } = exchange.head;
    const flags = wasWaiting ? COMPLETED_WAITING : 1;
    this.seats[exchange.lane]!.reactor.offerCompletion(
      sampleCompletion({ index, generation, tag: exchange.tag, memo0, memo1, memo2, flags, decideUs: 0, ...given }),
    );
  }

  /** The client goes away. */
  leave(exchange: Exchange): void {
    this.finish(exchange, { slot: exchange.slot, status: 0, backendStatus: 0, reason: 6, attempts: exchange.slot === NONE ? 0 : 1 });
  }

  /** Time passes, with a turn whenever somebody has waited long enough. */
  advance(ms: number): void {
    const endMs = this.nowMs + ms;
    for (;;) {
      const due = Math.min(...[...this.exchanges.values()].filter(({ state }) => state === 'waiting').map(({ untilMs }) => untilMs));
      if (!(due <= endMs)) break;
      this.nowMs = Math.max(this.nowMs, due);
      this.turn();
    }
    this.nowMs = endMs;
    this.turn();
  }

  /** Every lane decides until nothing is left to offer. */
  turn(): void {
    for (const exchange of this.exchanges.values()) {
      if (exchange.state === 'waiting' && exchange.untilMs <= this.nowMs) this.offer(exchange);
    }
    for (let isBusy = true; isBusy; ) {
      isBusy = false;
      for (const { lane, reactor } of this.seats) {
        lane.decide();
        const decisions = reactor.decisions();
        for (const decision of decisions) this.obey(decision);
        isBusy ||= decisions.length > 0 || reactor.waiting > 0;
      }
    }
  }

  /**
   * The worker of a shard dies. Who waits goes on waiting, and is offered to the successor when its
   * time has come.
   */
  replace(shard: number): void {
    const seat = this.seats[shard]!;
    seat.lane.close();
    const reactor = new ReactorSide();
    this.seats[shard] = { ...seat, reactor, lane: this.laneOf(shard, reactor, seat.noted) };
    this.turn();
  }

  private laneOf(shard: number, reactor: ReactorSide, noted: Noted): Lane {
    const kick = (): void => {
      this.seats[shard]!.kicks += 1;
      this.turn();
    };
    const { snapshot, shared } = this;
    const parts = { ring: reactor.buffer, snapshot, shared, kick, observer: noteInto(noted), shard };
    return createLane(parts, { seed: 42 + shard, nowMs: () => this.nowMs });
  }

  private offer(exchange: Exchange): void {
    const [memo0, memo1, memo2] = exchange.memo;
    const flags = exchange.offers === 0 ? exchange.head.flags : exchange.head.flags | HEAD_WAITED;
    const ageUs = (this.nowMs - exchange.arrivedMs) * 1_000;
    exchange.state = 'offered';
    exchange.offers += 1;
    this.seats[exchange.lane]!.reactor.offerHead({ ...exchange.head, flags, tag: exchange.tag, memo0, memo1, memo2, ageUs });
  }

  private obey(decision: Decision): void {
    const exchange = this.exchanges.get(decision.index);
    if (exchange === undefined) return;
    if (decision.kind === 'wake') {
      if (exchange.state === 'waiting') this.offer(exchange);
      return;
    }
    if (exchange.state !== 'offered' || decision.kind === 'reset') return;
    exchange.tag = decision.tag;
    exchange.memo = decision.memo;
    if (decision.kind === 'wait') {
      exchange.state = 'waiting';
      exchange.untilMs = this.nowMs + decision.waitMs;
    } else if (decision.kind === 'forward') {
      exchange.state = 'forwarded';
      exchange.slot = decision.slot;
      exchange.forwardedMs = this.nowMs;
    } else if (decision.kind === 'respond') {
      exchange.state = 'answered';
      exchange.status = decision.status;
      exchange.reason = decision.reason;
      exchange.fields = Object.fromEntries(decision.fields);
      const { status, reason } = decision;
      this.end(exchange, { status, reason, backendStatus: 0, slot: NONE, attempts: 0, flags: COMPLETED_COMMITTED | COMPLETED_FROM_EDGE });
      exchange.state = 'answered';
    }
  }
}
