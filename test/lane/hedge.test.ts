import t from 'tap';
import { HEDGE_IS_PROBE } from '../../src/lane/memo.ts';
import { HedgeDelay } from '../../src/lane/retry/hedge-delay.ts';
import {
  COMPLETED_COMMITTED,
  COMPLETED_HEDGE_WON,
  COMPLETED_HEDGED,
  FORWARD_HEDGE,
  HEAD_HAS_BODY,
  HEAD_IDEMPOTENT,
  NONE,
} from '../../src/record/layout.ts';
import { type LaneStand, standLane } from '../support/lanes.ts';
import { type Decision, sampleCompletion, sampleLate } from '../support/records.ts';
import { type RouteWish, type SnapshotWishes, sampleSnapshot } from '../support/snapshots.ts';

const HEDGE = { delayMs: 20, percentile: 0.95, minDelayMs: 10, maxDelayMs: 1_000 };

function hedging(hedge: RouteWish['hedge'] = HEDGE, backends: readonly object[] = [{}, {}, {}]): SnapshotWishes {
  return {
    upstreams: [{ backends, hedgeBudget: { ratio: 0.5, minPerSecond: 0, windowMs: 10_000 } }],
    routes: [{ hedge }],
  };
}

/** Says that the attempt `first` is late and gives what the lane did about it. */
function late(stand: LaneStand, first: Decision): Decision[] {
  if (first.kind !== 'forward') throw new Error('nothing was forwarded');
  const [memo0, memo1, memo2] = first.memo;
  stand.reactor.offerLate(sampleLate({ slot: first.slot, tag: first.tag, plan: first.plan, memo0, memo1, memo2 }));
  stand.lane.decide();
  return stand.reactor.decisions();
}

const codes = (stand: LaneStand) => stand.noted.notes.map(({ note }) => note);

t.test('a slow read gets a second attempt at another backend', async (t) => {
  const stand = standLane(sampleSnapshot(hedging()));
  const [first, second] = stand.ask({}, {});
  t.match(first, { kind: 'forward', slot: 0, hedgeDelayMs: 20 });
  t.match(second, { kind: 'forward', hedgeDelayMs: 20 });
  const [hedge] = late(stand, first!);
  if (hedge?.kind !== 'forward') throw new Error('no hedge');
  t.ok((hedge.flags & FORWARD_HEDGE) !== 0);
  t.not(hedge.slot, 0);
  t.equal(hedge.exchangeTimeoutMs, NONE, 'the time of the whole exchange stays');
  t.ok((hedge.memo[0] & HEDGE_IS_PROBE) === 0);
  t.strictSame(codes(stand), ['hedge_sent']);
});

t.test('requests with a body, of methods that may not be repeated, and of upstreams with one backend are not hedged', async (t) => {
  const stand = standLane(sampleSnapshot(hedging()));
  t.match(stand.ask({ flags: HEAD_IDEMPOTENT | HEAD_HAS_BODY }), [{ hedgeDelayMs: 0 }]);
  t.match(stand.ask({ method: 'POST', flags: 0 }), [{ hedgeDelayMs: 0 }]);
  t.match(standLane(sampleSnapshot(hedging(HEDGE, [{}]))).ask({}), [{ hedgeDelayMs: 0 }]);
  t.match(standLane(sampleSnapshot({ upstreams: [{ backends: [{}, {}] }] })).ask({}), [{ hedgeDelayMs: 0 }]);
});

t.test('hedges are a share of the requests', async (t) => {
  const stand = standLane(sampleSnapshot(hedging()));
  let sent = 0;
  for (let i = 0; i < 20; i++) sent += late(stand, stand.ask({})[0]!).length;
  t.equal(sent, 10);
  t.equal(codes(stand).filter((code) => code === 'hedge_denied_budget').length, 10);
});

t.test('who won is counted, and the loser is known to be at least as slow as it was left', async (t) => {
  const stand = standLane(sampleSnapshot(hedging()));
  const [first] = stand.ask({});
  const [hedge] = late(stand, first!);
  if (first?.kind !== 'forward' || hedge?.kind !== 'forward') throw new Error('no hedge');
  const [memo0, memo1, memo2] = hedge.memo;
  const done = { tag: hedge.tag, memo0, memo1, memo2, attempts: 2, flags: COMPLETED_COMMITTED | COMPLETED_HEDGED | COMPLETED_HEDGE_WON };
  stand.reactor.offerCompletion(sampleCompletion({ ...done, slot: hedge.slot, loserSlot: first.slot, loserUs: 90_000, awaitUs: 700 }));
  stand.lane.decide();
  t.strictSame(codes(stand), ['hedge_sent', 'hedge_won']);
  const latencies = new Float64Array(stand.backendTable);
  t.equal(latencies[first.slot * 8 + 1], 90_000);
  t.equal(latencies[hedge.slot * 8 + 1], 700);

  stand.reactor.offerCompletion(sampleCompletion({ ...done, slot: first.slot, flags: COMPLETED_COMMITTED | COMPLETED_HEDGED }));
  stand.lane.decide();
  t.equal(codes(stand).at(-1), 'hedge_wasted');
});

t.test('the percentile follows what responses took lately, within its bounds', async (t) => {
  const delay = new HedgeDelay({ delayMs: 0, percentile: 0.95, minDelayMs: 2, maxDelayMs: 500 });
  t.equal(delay.delayMs, 2, 'the least while little is known');
  for (let i = 0; i < 2_000; i++) delay.sample(i % 25 === 0 ? 400_000 : 10_000);
  t.ok(delay.delayMs >= 10 && delay.delayMs <= 12, `p95 of 10 ms answers with 4 % outliers: ${delay.delayMs}`);
  for (let i = 0; i < 4_000; i++) delay.sample(100_000);
  t.ok(delay.delayMs >= 100 && delay.delayMs <= 110, `it moves on: ${delay.delayMs}`);
  for (let i = 0; i < 4_000; i++) delay.sample(5_000_000);
  t.equal(delay.delayMs, 500, 'never beyond the most');
  for (let i = 0; i < 4_000; i++) delay.sample(50);
  t.equal(delay.delayMs, 2);
});
