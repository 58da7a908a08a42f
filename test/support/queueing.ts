/**
 * A backend as queueing theory has it, behind a lane: so many requests at once, each for its
 * service time, the others in a queue of its own; and clients that come at a rate whatever happens
 * and lose their patience. Time is simulated in milliseconds.
 */

import { Random } from '../../src/lane/random.ts';
import type { Exchange, Play } from './play.ts';
import type { SampleHead } from './records.ts';

export interface BackendModel {
  /** Requests served at once. */
  servers: number;
  /** Mean service time; each is drawn from half of it to half as much again. */
  serviceMs: number;
  /** The service time of a request in place of that; `share` is drawn anew for each. */
  service?: (share: number, path: string) => number;
  /** It takes requests and finishes none. */
  isPaused?: boolean;
}

export interface Load {
  /** Requests a second. */
  readonly rate: number;
  /** Who waits longer goes away; the backend works on for nobody. */
  readonly patienceMs: number;
  readonly head?: (number: number) => Partial<SampleHead>;
  /** Paths whose responses begin at once and do not end. */
  readonly isStream?: (path: string) => boolean;
}

export interface Outcome {
  /** Answers of the backend in time, by path. */
  readonly good: Map<string, number>;
  readonly refused: Map<string, number>;
  readonly late: Map<string, number>;
  /** The longest that anybody waited for an answer in time, at the edge and at the backend. */
  longestMs: number;
}

interface Job {
  readonly exchange: Exchange;
  readonly arrivedMs: number;
  leftMs: number;
}

export class QueueingStand {
  readonly model: BackendModel;
  private readonly play: Play;
  private readonly random = new Random(3);
  private readonly queue: Job[] = [];
  private readonly served: Job[] = [];
  private waiting: Exchange[] = [];
  private arrivals = 0;

  constructor(play: Play, model: BackendModel) {
    this.play = play;
    this.model = model;
  }

  /** `ms` of `load`; what happened in that time. */
  run(ms: number, load: Load): Outcome {
    const outcome: Outcome = { good: new Map(), refused: new Map(), late: new Map(), longestMs: 0 };
    for (let tick = 0; tick < ms; tick++) {
      this.play.nowMs += 1;
      if (this.model.isPaused !== true) this.finishDone(outcome);
      this.loseThePatience(load, outcome);
      this.waiting.push(...this.arrive(load));
      this.play.turn();
      this.waiting = this.waiting.filter((exchange) => !this.take(exchange, load, outcome));
      this.serve();
    }
    return outcome;
  }

  private arrive(load: Load): Exchange[] {
    const came: Exchange[] = [];
    this.arrivals += load.rate / 1_000;
    for (; this.arrivals >= 1; this.arrivals--) came.push(this.play.arrive(load.head?.(Math.floor(this.random.next() * 1_000)) ?? {}));
    return came;
  }

  /** Whether the edge has decided. */
  private take(exchange: Exchange, { isStream }: Load, outcome: Outcome): boolean {
    if (exchange.state === 'answered') count(outcome.refused, exchange);
    else if (exchange.state === 'forwarded' && isStream?.(exchange.head.path) !== true)
      this.queue.push({ exchange, arrivedMs: this.play.nowMs, leftMs: 0 });
    return exchange.state !== 'waiting';
  }

  private serve(): void {
    const { service, serviceMs, servers } = this.model;
    while (this.served.length < servers && this.queue.length > 0) {
      const job = this.queue.shift()!;
      const share = this.random.next();
      job.leftMs = service === undefined ? serviceMs * (0.5 + share) : service(share, job.exchange.head.path);
      this.served.push(job);
    }
  }

  private finishDone(outcome: Outcome): void {
    const { nowMs } = this.play;
    for (let i = this.served.length - 1; i >= 0; i--) {
      const job = this.served[i]!;
      job.leftMs -= 1;
      if (job.leftMs > 0) continue;
      this.served.splice(i, 1);
      const { exchange, arrivedMs } = job;
      if (exchange.state !== 'forwarded') continue;
      const tookUs = Math.round((nowMs + job.leftMs - arrivedMs) * 1_000);
      this.play.end(exchange, { awaitUs: tookUs, totalUs: tookUs, slot: exchange.slot });
      outcome.longestMs = Math.max(outcome.longestMs, nowMs - exchange.arrivedMs);
      count(outcome.good, exchange);
    }
  }

  private loseThePatience({ patienceMs }: Load, outcome: Outcome): void {
    const { nowMs } = this.play;
    for (const { exchange, arrivedMs } of [...this.served, ...this.queue]) {
      if (exchange.state !== 'forwarded' || nowMs - exchange.arrivedMs < patienceMs) continue;
      const gone = { slot: exchange.slot, status: 0, backendStatus: 0, reason: 6, totalUs: (nowMs - arrivedMs) * 1_000 };
      this.play.end(exchange, gone);
      count(outcome.late, exchange);
    }
    for (const exchange of this.waiting) {
      if (exchange.state !== 'waiting' || nowMs - exchange.arrivedMs < patienceMs) continue;
      this.play.end(exchange, { status: 0, backendStatus: 0, reason: 6 });
      count(outcome.late, exchange);
    }
  }
}

export function total(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((sum, each) => sum + each, 0);
}

function count(counts: Map<string, number>, { head }: Exchange): void {
  counts.set(head.path, (counts.get(head.path) ?? 0) + 1);
}
