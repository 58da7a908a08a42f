/**
 * Lives: which worker of a shard took a place. What an exchange holds is given back by whoever
 * reads its completion, but a worker can die between taking a place and saying so, or after it took
 * one for somebody who waits. Therefore each shard keeps count of what it took in the place table,
 * beside the sum of all. A successor begins a life of its own: who waited is out of the count until
 * it comes again, and the places of earlier lives are given back one by one as their exchanges end;
 * what nobody has brought back after a while was lost and is written off.
 */

import type { LaneSnapshot } from '../../config/route-table.ts';
import type { UpstreamSnapshot } from '../../config/snapshot/upstream.ts';
import { StandingQueue } from './overload/standing-queue.ts';
import { EARLIER, IN_FLIGHT, OWN_WORDS, placeLayout, placesOf, WAITING } from './places.ts';

/** Lives go from 1 to this and round again; 0 in a memo says that nothing was taken. */
const LIVES = 255;

/**
 * The lives of one worker, a table each: tables are new with each snapshot that needs it, and a
 * life begins once.
 */
export class Lives {
  readonly shard: number;
  /** Tables of snapshots that are replaced are not held on to. */
  private readonly begun = new WeakMap<SharedArrayBuffer, number>();

  /**
   * What guards know of their upstreams, by name: a new snapshot changes nothing about backends
   * that are overloaded.
   */
  private readonly queues = new Map<string, StandingQueue>();

  constructor(shard: number) {
    this.shard = shard;
  }

  /** What is known of the queue before `upstream`. */
  queueOf({ name, overload }: UpstreamSnapshot, nowMs: number): StandingQueue {
    const known = this.queues.get(name);
    known?.aim(overload.targetMs);
    const queue = known ?? new StandingQueue(overload.targetMs, nowMs);
    this.queues.set(name, queue);
    return queue;
  }

  /** Forgets upstreams that `snapshot` does not have. */
  forgetOthers({ upstreams }: LaneSnapshot): void {
    const names = new Set(upstreams.map(({ name }) => name));
    for (const name of this.queues.keys()) if (!names.has(name)) this.queues.delete(name);
  }

  /** This worker's life in `table`, which was made for `snapshot`. */
  of(table: SharedArrayBuffer, snapshot: LaneSnapshot): number {
    const known = this.begun.get(table);
    if (known !== undefined) return known;
    const life = begin(table, snapshot, this.shard);
    this.begun.set(table, life);
    return life;
  }
}

function begin(table: SharedArrayBuffer, snapshot: LaneSnapshot, shard: number): number {
  const words = new Int32Array(table);
  const layout = placeLayout(snapshot);
  const own = layout.own(shard);
  for (const place of placesOf(snapshot)) {
    const at = own + place * OWN_WORDS;
    words[at + EARLIER] = words[at + EARLIER]! + words[at + IN_FLIGHT]!;
    words[at + IN_FLIGHT] = 0;
    subtract(words, layout.place(place) + WAITING, words[at + WAITING]!);
    words[at + WAITING] = 0;
  }
  const life = (Atomics.load(words, layout.life(shard)) % LIVES) + 1;
  Atomics.store(words, layout.life(shard), life);
  return life;
}

/** Never below zero. */
function subtract(words: Int32Array, at: number, count: number): void {
  for (;;) {
    const known = Atomics.load(words, at);
    if (Atomics.compareExchange(words, at, known, Math.max(0, known - count)) === known) return;
  }
}
