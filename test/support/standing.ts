/**
 * The standing of an upstream's backends as several lanes see it, on one table and one clock that
 * stands still until told.
 */

import { NOTES, type NoteCode } from '../../src/base/notes.ts';
import type { Snapshot } from '../../src/config/snapshot/snapshot.ts';
import type { Observer } from '../../src/lane/observer.ts';
import { Standing } from '../../src/lane/standing/standing.ts';
import { createStandingTable } from '../../src/lane/standing/table.ts';
import { type BackendStanding, type UpstreamStanding, viewStanding } from '../../src/lane/standing/view.ts';
import { NONE } from '../../src/record/layout.ts';
import { sampleSnapshot, type UpstreamWish } from './snapshots.ts';

export interface StandingStand {
  readonly snapshot: Snapshot;
  readonly table: SharedArrayBuffer;
  /** One a lane. */
  readonly lanes: readonly Standing[];
  /** The first lane. */
  readonly standing: Standing;
  /** What the lanes told, in order: `code slot`. */
  readonly told: string[];
  readonly details: number[];
  nowMs: number;
  /** Lets time pass; every lane has a turn then. */
  pass(ms: number): void;
  backend(slot: number): BackendStanding;
  upstream(number?: number): UpstreamStanding;
  /** An answer without failure at `slot`. */
  succeed(slot: number, isProbe?: boolean): void;
  /** A reset before the answer. */
  fail(slot: number, isProbe?: boolean): void;
  /** Takes out `slot` by as many resets as its breaker allows in a row. */
  eject(slot: number): void;
}

const RESET = 39;

/**
 * Three failures in a row open the breaker for a second unless `wish` says otherwise; no panic, no
 * slow start.
 */
export function standStanding(wish: UpstreamWish = {}, laneCount = 1): StandingStand {
  const breaker = { consecutive: 3, ejectMs: 1_000, maxEjectMs: 10_000, windowMs: 1_000, probes: 1, successes: 2, ...wish.breaker };
  const snapshot = sampleSnapshot({ upstreams: [{ panicBelow: 0, slowStartMs: 0, ...wish, breaker }] });
  const table = createStandingTable(snapshot);
  const told: string[] = [];
  const details: number[] = [];
  const observer = {
    noted: (note: number, _upstream: number, slot: number, detail: number) => {
      told.push(slot === -1 ? NOTES[note]!.code : `${NOTES[note]!.code satisfies NoteCode} ${slot}`);
      details.push(detail);
    },
  } as Observer;
  const lanes = Array.from({ length: laneCount }, () => new Standing({ snapshot, table, observer }));
  const stand: StandingStand = {
    snapshot,
    table,
    lanes,
    standing: lanes[0]!,
    told,
    details,
    nowMs: 1_700_000_000_000,
    pass(ms) {
      stand.nowMs += ms;
      for (const lane of lanes) lane.begin(stand.nowMs);
    },
    backend: (slot) => viewStanding(table, snapshot, stand.nowMs).backends[slot]!,
    upstream: (number = 0) => viewStanding(table, snapshot, stand.nowMs).upstreams[number]!,
    succeed: (slot, isProbe = false) => stand.standing.responded(slot, 200, NONE, NONE, isProbe),
    fail: (slot, isProbe = false) => stand.standing.failed(slot, RESET, isProbe),
    eject(slot) {
      for (let i = 0; i < breaker.consecutive; i++) stand.fail(slot);
    },
  };
  stand.pass(0);
  return stand;
}
