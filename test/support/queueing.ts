/**
 * A backend as queueing theory has it, behind a lane: so many requests at once, each for its service time, the others in a queue of its own; and clients that come at a
 * rate whatever happens and lose their patience. Time is simulated in milliseconds.
 */

import { Random } from '../../src/lane/random.ts';
import type { Exchange, Play } from './play.ts';
import type { SampleHead } from './records.ts';

export interface BackendModel {
  /** Requests served at once. */
  servers: number;
  /** Mean service time; each is drawn from half of it to half as much again. */
  serviceMs: number;
}

export interface Load {
  /** Requests a second. */
  readonly rate: number;
  /** Who waits longer goes away; the backend works on for nobody. */
  readonly patienceMs: number;
  readonly head?: (number: number) => Partial<SampleHead>;
}

export interface Outcome {
  /** Answers of the backend in time, by path. */
  readonly good: Map<string, number>;
  readonly refused: Map<string, number>;
  readonly late: Map<string, number>;
}

interface Job {
  readonly exchange: Exchange;
  readonly arrivedMs: number;
  doneMs: number;
}

export class QueueingStand {
  readonly model: BackendModel;
  private readonly play: Play;
  private readonly random = new Random(3);
  private readonly queue: Job[] = [];
  private readonly served: Job[] = [];
  private arrivals = 0;

  constructor(play: Play, model: BackendModel) {
    this.play = play;
    this.model = model;
  }

  /** `ms` of `load`; what happened in that time. */
  run(ms: number, load: Load): Outcome {
    const outcome: Outcome = { good: new Map(), refused: new Map(), late: new Map() };
    for (let tick = 0; tick < ms; tick++) {
      this.play.nowMs += 1;
      this.finishDone(outcome);
      this.loseThePatience(load, outcome);
      const came = this.arrive(load);
      this.play.turn();
      for (const exchange of came) this.take(exchange, outcome);
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

  private take(exchange: Exchange, outcome: Outcome): void {
    if (exchange.state === 'answered') count(outcome.refused, exchange);
    else if (exchange.state === 'forwarded') this.queue.push({ exchange, arrivedMs: this.play.nowMs, doneMs: 0 });
  }

  private serve(): void {
    while (this.served.length < this.model.servers && this.queue.length > 0) {
      const job = this.queue.shift()!;
      job.doneMs = this.play.nowMs + this.model.serviceMs * (0.5 + this.random.next());
      this.served.push(job);
    }
  }

  private finishDone(outcome: Outcome): void {
    for (let i = this.served.length - 1; i >= 0; i--) {
      const { exchange, arrivedMs, doneMs } = this.served[i]!;
      if (doneMs > this.play.nowMs) continue;
      this.served.splice(i, 1);
      if (exchange.state !== 'forwarded') continue;
      const tookUs = Math.round((doneMs - arrivedMs) * 1_000);
      this.play.end(exchange, { awaitUs: tookUs, totalUs: tookUs, slot: exchange.slot });
      count(outcome.good, exchange);
    }
  }

  private loseThePatience({ patienceMs }: Load, outcome: Outcome): void {
    for (const { exchange, arrivedMs } of [...this.served, ...this.queue]) {
      if (exchange.state !== 'forwarded' || this.play.nowMs - arrivedMs < patienceMs) continue;
      this.play.end(exchange, { slot: exchange.slot, status: 0, backendStatus: 0, reason: 6, totalUs: patienceMs * 1_000 });
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
