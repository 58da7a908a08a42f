/**
 * Lives: which worker of a shard took a place.
 *
 * Whoever reads an exchange's completion returns its places. But a worker can die after it took a
 * place and before its exchange knows, or after it took one for an exchange that waits. So each
 * shard also counts what its own worker took, in the place table beside the total. A new worker
 * begins a new life: exchanges that waited are not counted until they ask again; places of earlier
 * lives are returned one by one as their exchanges end; what nobody returned after a while is
 * written off.
 */

import type { LaneSnapshot } from '../../config/route-table.ts';
import type { UpstreamSnapshot } from '../../config/snapshot/upstream.ts';
import { StandingQueue } from './overload/standing-queue.ts';
import { EARLIER, IN_FLIGHT, OWN_WORDS, placeLayout, placesOf, WAITING } from './places.ts';

/** Lives run from 1 to this and wrap; 0 in a memo means that nothing was taken. */
const LIVES = 255;

/**
 * The lives of one worker, one for each table. A snapshot may bring a new table; a life begins once
 * in each.
 */
export class Lives {
  readonly shard: number;
  /** Weak, so that tables of replaced snapshots can be collected. */
  private readonly begun = new WeakMap<SharedArrayBuffer, number>();

  /**
   * What guards know of their upstreams, by name: a new snapshot does not change how overloaded a
   * backend is.
   */
  private readonly queues = new Map<string, StandingQueue>();

  constructor(shard: number) {
    this.shard = shard;
  }

  /** The state of the queue in front of `upstream`. */
  queueOf({ name, overload }: UpstreamSnapshot, nowMs: number): StandingQueue {
    const known = this.queues.get(name);
    known?.aim(overload.targetMs);
    const queue = known ?? new StandingQueue(overload.targetMs, nowMs);
    this.queues.set(name, queue);
    return queue;
  }

  /** Forgets upstreams that `snapshot` does not contain. */
  forgetOthers({ upstreams }: LaneSnapshot): void {
    const names = new Set(upstreams.map(({ name }) => name));
    for (const name of this.queues.keys()) if (!names.has(name)) this.queues.delete(name);
  }

  /** This worker's life in `table`, which was created for `snapshot`. */
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

/** Subtracts, but not below zero. */
function subtract(words: Int32Array, at: number, count: number): void {
  for (;;) {
    const known = Atomics.load(words, at);
    if (Atomics.compareExchange(words, at, known, Math.max(0, known - count)) === known) return;
  }
}
