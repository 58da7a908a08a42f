/**
 * A lane on a ring memory of its own, with a clock that stands still until told and an observer
 * that remembers.
 */

import { NOTES, type NoteCode } from '../../src/base/notes.ts';
import { packRoutes, RouteTable } from '../../src/config/route-table.ts';
import type { Snapshot } from '../../src/config/snapshot/snapshot.ts';
import { createLane, type Lane, type LaneOptions } from '../../src/lane/lane.ts';
import type { Observer } from '../../src/lane/observer.ts';
import { PlanBook } from '../../src/lane/plan/book.ts';
import { createSharedState, type SharedState } from '../../src/lane/shared.ts';
import { tablesOf } from '../../src/lane/tables.ts';
import { type Decision, ReactorSide, type SampleHead, sampleHead } from './records.ts';

export interface Noted {
  attempts: { slot: number; isRetry: boolean }[];
  failures: { slot: number; reason: number }[];
  notes: { note: NoteCode; upstream: number; slot: number; detail: number; text?: string }[];
  errors: unknown[];
  completions: { status: number; route: number; slot: number; tenant: number }[];
  turns: number[];
}

export interface LaneStand {
  lane: Lane;
  reactor: ReactorSide;
  noted: Noted;
  observer: Observer;
  shared: SharedState;
  backendTable: SharedArrayBuffer;
  /** How often the lane asked to be taken notice of between turns. */
  kicks: { count: number };
  clock: { nowMs: number };
  /** Offers heads, lets the lane decide once, gives the decisions. */
  ask(...heads: Partial<SampleHead>[]): Decision[];
}

export function standLane(snapshot: Snapshot, options: LaneOptions = {}, cursor = 0): LaneStand {
  const reactor = new ReactorSide(cursor);
  const shared = createSharedState(snapshot);
  const backendTable = shared.backends;
  const kicks = { count: 0 };
  const noted: Noted = { attempts: [], failures: [], notes: [], errors: [], completions: [], turns: [] };
  const clock = { nowMs: 1_000_000 };
  const kick = () => {
    kicks.count += 1;
  };
  const observer = noteInto(noted);
  // As a shard gets them: packed, and over a port.
  const { routes, tables } = structuredClone({ routes: packRoutes(snapshot.routes), tables: tablesOf(snapshot, new PlanBook()) });
  const posted = { ...snapshot, routes: new RouteTable(routes) };
  const lane = createLane(
    { ring: reactor.buffer, snapshot: posted, tables, shared, kick, observer },
    { seed: 42, nowMs: () => clock.nowMs, ...options },
  );
  const ask = (...heads: Partial<SampleHead>[]) => {
    for (const [i, head] of heads.entries()) reactor.offerHead(sampleHead({ index: i, ...head }));
    lane.decide();
    return reactor.decisions();
  };
  return { lane, reactor, noted, observer, shared, backendTable, kicks, clock, ask };
}

export function noteInto(noted: Noted): Observer {
  return {
    attempted: (slot, isRetry) => void noted.attempts.push({ slot, isRetry }),
    attemptFailed: (slot, reason) => void noted.failures.push({ slot, reason }),
    noted: (note, upstream, slot, detail, text) =>
      void noted.notes.push({ note: NOTES[note]!.code, upstream, slot, detail, ...(text === undefined ? {} : { text }) }),
    laneFailed: (error) => void noted.errors.push(error),
    completed: (completion, route, slot, tenant) => void noted.completions.push({ status: completion.status, route, slot, tenant }),
    turned: (records) => void noted.turns.push(records),
  };
}
