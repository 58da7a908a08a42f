import t from 'tap';
import { reasonNumber } from '../../src/base/errors.ts';
import { type Numbered, Numberer } from '../../src/config/numbering/numberer.ts';
import type { Snapshot } from '../../src/config/snapshot/snapshot.ts';
import { IN_FLIGHT, placeLayout, placeOfRoute, placeOfUpstream } from '../../src/lane/admit/places.ts';
import { PlanBook, SHARD_PAGES } from '../../src/lane/plan/book.ts';
import { compilePlans } from '../../src/lane/plan/table.ts';
import { createSharedState, nextSharedState, type SharedState, takeOver } from '../../src/lane/shared.ts';
import { tablesOf } from '../../src/lane/tables.ts';
import { TAG_EPOCHS } from '../../src/lane/tag.ts';
import { type Noted, noteInto, standLane } from '../support/lanes.ts';
import { sampleAttemptFailed, sampleCompletion } from '../support/records.ts';
import { type SnapshotWishes, sampleSnapshot } from '../support/snapshots.ts';

const BULKHEAD = { max: 2, queue: 0, queueTimeoutMs: 1_000 };

/** Snapshots one after the other, numbered as an edge numbers them, and a lane that takes each. */
function chain(first: SnapshotWishes) {
  const numberer = new Numberer();
  let nowMs = 1_000_000;
  const number = (wishes: SnapshotWishes): Numbered => {
    nowMs += 60_000;
    // Somebody is always older.
    return numberer.number(sampleSnapshot(wishes), 1, nowMs) as Numbered;
  };
  const begun = number(first);
  begun.take(nowMs);
  let snapshot: Snapshot = begun.snapshot;
  const stand = standLane(snapshot);
  let shared: SharedState = stand.shared;
  const apply = (wishes: SnapshotWishes): Noted => {
    const next = number(wishes);
    const from = { snapshot, shared };
    shared = nextSharedState(from, next.snapshot);
    snapshot = next.snapshot;
    takeOver(from, { snapshot, shared }, next.fresh);
    const noted: Noted = { attempts: [], failures: [], notes: [], errors: [], completions: [], turns: [] };
    stand.lane.apply(snapshot, shared, noteInto(noted));
    next.take(nowMs);
    return noted;
  };
  const inFlight = (place: number): number => new Int32Array(shared.places)[placeLayout(snapshot).place(place) + IN_FLIGHT]!;
  return { stand, apply, snapshot: () => snapshot, inFlight };
}

const memos = ([memo0, memo1, memo2]: readonly number[]) => ({ memo0: memo0!, memo1: memo1!, memo2: memo2! });

t.test('an exchange that outlives fifty reloads gives back its places, though its route and upstream are gone', async (t) => {
  const old = { upstreams: [{ name: 'old', bulkhead: BULKHEAD }], routes: [{ name: 'old', match: { path: '/old' }, bulkhead: BULKHEAD }] };
  const { stand, apply, snapshot, inFlight } = chain(old);
  const [decision] = stand.ask({ path: '/old' });
  if (decision?.kind !== 'forward') throw new Error('not forwarded');
  const places = [placeOfRoute(0), placeOfUpstream(snapshot(), 0)];
  t.same(places.map(inFlight), [1, 1]);
  const noted: Noted[] = [];
  for (let round = 0; round < 50; round++) {
    noted.push(
      apply({
        upstreams: [{ name: `new-${round % 3}`, bulkhead: BULKHEAD }],
        routes: [{ name: `new-${round % 4}`, bulkhead: BULKHEAD }],
      }),
    );
    const [other] = stand.ask({ index: 1, path: '/' });
    if (other?.kind !== 'forward') throw new Error('not forwarded');
    t.same(places.map(inFlight), [1, 1], 'others count elsewhere');
    const { tag, memo } = other;
    stand.reactor.offerCompletion(sampleCompletion({ index: 1, tag, ...memos(memo), slot: other.slot }));
  }
  const { tag, memo, slot } = decision;
  stand.reactor.offerCompletion(sampleCompletion({ tag, ...memos(memo), slot }));
  stand.lane.decide();
  t.same(places.map(inFlight), [0, 0]);
  t.same(
    noted.flatMap(({ errors }) => errors),
    [],
  );
  t.match(
    noted.flatMap(({ completions }) => completions).find(({ route }) => route === 0),
    { slot },
  );
  t.equal(snapshot().routes[0]?.name, 'old', 'under its own name');
});

t.test('a retry that was begun before goes to no backend that was removed, nor to what has its place', async (t) => {
  const retries = { attempts: 3, backoffBaseMs: 0, backoffMaxMs: 0 };
  const routes = [{ name: 'r', retries }];
  const before = {
    upstreams: [{ name: 'web', backends: [{ url: 'h2c://127.0.0.1:1' }, { url: 'h2c://127.0.0.1:2' }, { url: 'h2c://127.0.0.1:3' }] }],
    routes,
  };
  const { stand, apply } = chain(before);
  const decisions = stand.ask(...Array.from({ length: 6 }, () => ({ path: '/' })));
  apply({ upstreams: [{ name: 'web', backends: [{ url: 'h2c://127.0.0.1:1' }, { url: 'h2c://127.0.0.1:2' }] }], routes });
  for (const slot of [0, 1, 2]) stand.lane.setAddresses(slot, 1);
  const reason = reasonNumber('connect_failed');
  for (const decision of decisions) {
    if (decision.kind !== 'forward') throw new Error('not forwarded');
    const { index, tag, memo, slot } = decision;
    stand.reactor.offerAttemptFailed(sampleAttemptFailed({ index, tag, ...memos(memo), slot, reason, attempts: 1 }));
  }
  stand.lane.decide();
  const slots = stand.reactor.decisions().map((retry) => (retry.kind === 'forward' ? retry.slot : -1));
  t.equal(slots.length, 6);
  t.ok(slots.some((slot) => slot >= 0));
  t.notOk(slots.includes(2), slots.join());
});

t.test('while a snapshot is made ready the lane decides by the one before, and by nothing of that once it is taken', async (t) => {
  const answering = (text: string) => ({
    upstreams: Array.from({ length: 40 }, (_, place) => ({ name: `${text}-${place}`, bulkhead: BULKHEAD })),
    routes: [
      { name: text, match: { path: '/fixed' }, fixed: { status: 200, fields: [], body: text } },
      ...Array.from({ length: 40 }, (_, place) => ({
        name: `${text}-${place}`,
        match: { path: `/${place}` },
        targets: [{ upstream: place, weight: 1, subset: {} }],
      })),
    ],
  });
  const before = sampleSnapshot(answering('before'));
  const stand = standLane(before);
  const noted: Noted = { attempts: [], failures: [], notes: [], errors: [], completions: [], turns: [] };
  const next = sampleSnapshot(answering('after'));
  const work = stand.lane.prepare(next, createSharedState(next), noteInto(noted));
  const bodyOf = (): string => {
    const [answer] = stand.ask({ path: '/fixed' });
    return answer?.kind === 'respond' ? answer.body.toString() : String(answer?.kind);
  };
  let steps = 0;
  let made = work.next();
  for (; made.done !== true; made = work.next()) {
    steps += 1;
    t.equal(bodyOf(), 'before');
  }
  t.ok(steps > 80, `${steps} steps: no list of the snapshot is gone through in one`);
  t.same([bodyOf(), stand.ask({ path: '/7' })[0]?.kind], ['before', 'forward']);
  t.equal(noted.turns.length, 0, 'nobody was told of a turn before');
  stand.lane.take(made.value);
  t.same([bodyOf(), stand.ask({ path: '/7' })[0]?.kind], ['after', 'forward']);
  t.same(noted.errors, []);
});

t.test('a shard may be told of plans while all snapshots of its lane decide: none of their numbers is given again', async (t) => {
  const book = new PlanBook(SHARD_PAGES);
  const tables = (round: number) =>
    tablesOf(sampleSnapshot({ routes: [{ responseEdits: [{ op: 'set', name: 'x', value: `round ${round}` }] }] }), book);
  const numbers = (round: number): number[] => {
    const { sets } = tables(round).plans;
    return sets.flatMap(({ plans, answerPlan }) => [answerPlan, ...plans.flat(2)]);
  };
  const used: number[][] = [];
  for (let round = 0; round < 60; round++) {
    const fresh = numbers(round).filter((number) => !used.flat().includes(number));
    t.ok(fresh.length > 0, 'another edit is another plan');
    used.push(fresh);
    if (used.length > TAG_EPOCHS) used.shift();
  }
  t.ok(book.plans.length < 60, 'numbers are given again in the end');
});

t.test('a snapshot is kept while an exchange may be open that began by it, and forgotten after that', async (t) => {
  const retries = { attempts: 3, backoffBaseMs: 0, backoffMaxMs: 0 };
  const upstreams = [{ name: 'web', backends: [{ url: 'h2c://127.0.0.1:1' }, { url: 'h2c://127.0.0.1:2' }] }];
  const failAfter = (ageMs: number): string | undefined => {
    const { stand, apply } = chain({ upstreams, routes: [{ name: 'r', retries }] });
    const [decision] = stand.ask({ path: '/' });
    if (decision?.kind !== 'forward') throw new Error('not forwarded');
    apply({ upstreams, routes: [{ name: 'r', retries: { ...retries, attempts: 0 } }] });
    stand.clock.nowMs += 60_000;
    stand.lane.forget(ageMs);
    const { index, tag, memo, slot } = decision;
    const reason = reasonNumber('connect_failed');
    stand.reactor.offerAttemptFailed(sampleAttemptFailed({ index, tag, ...memos(memo), slot, reason, attempts: 1 }));
    stand.lane.decide();
    return stand.reactor.decisions()[0]?.kind;
  };
  t.equal(failAfter(60_001), 'forward', 'it has the attempts that it began with');
  t.equal(failAfter(59_999), 'respond', 'as many as there are now');
});

t.test('a plan keeps its number while a snapshot that has it decides, and the number is given again after that', async (t) => {
  const book = new PlanBook(3);
  const edited = (value: string) => sampleSnapshot({ routes: [{ requestEdits: [{ op: 'set', name: 'x', value }] }] });
  const planOf = (value: string) => compilePlans(edited(value), book).ofRoute[0]!.of(0, 0, 0);
  const first = planOf('a');
  t.not(planOf('b'), first);
  t.equal(planOf('a'), first, 'the same again');
  planOf('c');
  planOf('d');
  planOf('e');
  const count = book.plans.length;
  for (let round = 0; round < 20; round++) planOf(`later-${round}`);
  t.equal(book.plans.length, count, 'numbers are given again');
});

t.test('shared memory of the first snapshot goes on', async (t) => {
  const numberer = new Numberer();
  const first = numberer.number(sampleSnapshot(), 1, 1) as Numbered;
  first.take(1);
  const shared = createSharedState(first.snapshot);
  const next = numberer.number(sampleSnapshot({ routes: [{ name: 'other' }] }), 1, 2) as Numbered;
  const after = nextSharedState({ snapshot: first.snapshot, shared }, next.snapshot);
  for (const table of ['backends', 'standing', 'budgets', 'places', 'buckets'] as const) t.equal(after[table], shared[table], table);
});
