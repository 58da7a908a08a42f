/**
 * Weights that can be changed at run time, in shared memory: of every backend and of every target
 * of a split. The main thread writes a weight and then raises the version. Lanes check the version
 * on each pick and read the weights again only if it moved. So a canary grows and a backend drains
 * without a reload. Int32 words: 0 version, 1 backends, 2 routes; from 16 on the backends' weights,
 * then for each route (and once more at the end) the word at which its targets begin, then the
 * targets' weights. A table describes itself and is readable without its snapshot.
 */

import { wordsOf } from '../../base/views.ts';
import type { Snapshot } from '../../config/snapshot/snapshot.ts';

/** The greatest weight, as in the configuration. */
export const MAX_WEIGHT = 10_000;

const VERSION_WORD = 0;
const BACKENDS_WORD = 1;
const ROUTES_WORD = 2;
const WEIGHTS_WORD = 16;

/** The current weights. */
export interface WeightsView {
  /** By slot. */
  readonly backends: readonly number[];
  /** By route, by target. */
  readonly targets: readonly (readonly number[])[];
}

/** A table with the weights that `snapshot` configures. */
export function createWeightTable(snapshot: Snapshot): SharedArrayBuffer {
  const { backends, routes } = snapshot;
  const firstRoute = WEIGHTS_WORD + backends.length;
  const firstTarget = firstRoute + routes.length + 1;
  const targetCount = routes.reduce((sum, { targets }) => sum + targets.length, 0);
  const words = new Int32Array(new SharedArrayBuffer(4 * (firstTarget + targetCount)));
  words[BACKENDS_WORD] = backends.length;
  words[ROUTES_WORD] = routes.length;
  for (const { slot, weight } of backends) words[WEIGHTS_WORD + slot] = weight;
  let at = firstTarget;
  for (const [number, { targets }] of routes.entries()) {
    words[firstRoute + number] = at;
    for (const { weight } of targets) words[at++] = weight;
  }
  words[firstRoute + routes.length] = at;
  return words.buffer as SharedArrayBuffer;
}

/** A lane's view. */
export class Weights {
  private readonly words: Int32Array;

  constructor(table: SharedArrayBuffer) {
    this.words = wordsOf(table);
  }

  /**
   * Changes with every change of a weight. Read without a fence, as it is read on every pick: a
   * change is then seen one pick later.
   */
  version(): number {
    return this.words[VERSION_WORD]!;
  }

  ofBackend(slot: number): number {
    return Atomics.load(this.words, WEIGHTS_WORD + slot);
  }

  /** The word, for `at`, at which the targets of `route` begin. */
  wordOfTargets(route: number): number {
    return targetsWord(this.words, route);
  }

  /** The weight at `word`. */
  at(word: number): number {
    return this.words[word]!;
  }
}

/**
 * Sets the weight of backend `slot` for all shards, at once. 0 drains it: it gets no new requests,
 * and those in flight end normally. Throws a RangeError for an invalid slot or weight.
 */
export function setBackendWeight(table: SharedArrayBuffer, slot: number, weight: number): void {
  const words = new Int32Array(table);
  checkPlace('backend', slot, words[BACKENDS_WORD]!);
  put(words, WEIGHTS_WORD + slot, weight);
}

/**
 * Sets the weight of target number `target` of route number `route`. Throws a RangeError for
 * invalid values.
 */
export function setTargetWeight(table: SharedArrayBuffer, route: number, target: number, weight: number): void {
  const words = new Int32Array(table);
  checkPlace('route', route, words[ROUTES_WORD]!);
  const first = targetsWord(words, route);
  checkPlace('target', target, targetsWord(words, route + 1) - first);
  put(words, first + target, weight);
}

/** The current weights of all. */
export function readWeights(table: SharedArrayBuffer): WeightsView {
  const words = new Int32Array(table);
  const targets = Array.from({ length: words[ROUTES_WORD]! }, (_, route) =>
    Array.from(words.subarray(targetsWord(words, route), targetsWord(words, route + 1))),
  );
  return { backends: Array.from(words.subarray(WEIGHTS_WORD, WEIGHTS_WORD + words[BACKENDS_WORD]!)), targets };
}

/** A snapshot and its table. */
export interface WeightState {
  readonly snapshot: Snapshot;
  readonly weights: SharedArrayBuffer;
}

/**
 * Carries weights changed at run time over to the table of the next snapshot, for each backend (by
 * upstream and URL) and target (by route name and index) whose configured weight did not change. If
 * the new snapshot configures another weight, the configuration wins.
 */
export function carryWeights(from: WeightState, to: WeightState): void {
  const now = readWeights(from.weights);
  const backends = new Map(from.snapshot.backends.map((backend) => [`${backend.upstream} ${backend.url}`, backend]));
  for (const { slot, upstream, url, weight } of to.snapshot.backends) {
    const before = backends.get(`${upstream} ${url}`);
    if (before?.weight === weight && now.backends[before.slot] !== weight) setBackendWeight(to.weights, slot, now.backends[before.slot]!);
  }
  const routes = new Map(from.snapshot.routes.map((route, number) => [route.name, number]));
  for (const [number, { name, targets }] of to.snapshot.routes.entries()) {
    const before = routes.get(name);
    if (before === undefined) continue;
    for (const [target, { weight }] of targets.entries()) {
      const changed = now.targets[before]![target];
      const isAsConfigured = from.snapshot.routes[before]!.targets[target]?.weight === weight;
      if (isAsConfigured && changed !== undefined && changed !== weight) setTargetWeight(to.weights, number, target, changed);
    }
  }
}

function targetsWord(words: Int32Array, route: number): number {
  return words[WEIGHTS_WORD + words[BACKENDS_WORD]! + route]!;
}

function put(words: Int32Array, at: number, weight: number): void {
  if (!Number.isInteger(weight) || weight < 0 || weight > MAX_WEIGHT) {
    throw new RangeError(`weight ${weight}, an integer from 0 to ${MAX_WEIGHT} is expected`);
  }
  Atomics.store(words, at, weight);
  Atomics.add(words, VERSION_WORD, 1);
}

function checkPlace(what: string, place: number, count: number): void {
  if (!Number.isInteger(place) || place < 0 || place >= count) throw new RangeError(`no ${what} ${place}, there are ${count}`);
}
