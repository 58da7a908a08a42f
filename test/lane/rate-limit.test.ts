import fc from 'fast-check';
import t from 'tap';
import { reasonNumber } from '../../src/base/errors.ts';
import type { RateLimitSnapshot } from '../../src/config/snapshot/limit.ts';
import { Limit } from '../../src/lane/admit/rate-limit/limit.ts';
import { createBucketTable, listLimits, regionsOf } from '../../src/lane/admit/rate-limit/table.ts';
import { viewLimits } from '../../src/lane/admit/rate-limit/view.ts';
import { createSharedState } from '../../src/lane/shared.ts';
import { Play } from '../support/play.ts';
import { sampleSnapshot } from '../support/snapshots.ts';

const RATE_LIMITED = reasonNumber('rate_limited');
const CLIENT = { kind: 'client', name: '', prefix4: 32, prefix6: 64 } as const;

const limitOf = (given: Partial<RateLimitSnapshot> = {}): RateLimitSnapshot => ({
  name: 'test',
  keys: [],
  requests: 10,
  periodMs: 1_000,
  burst: 10,
  maxKeys: 1_024,
  isShared: false,
  onStoreFailure: 'local',
  ...given,
});

const playOf = (...limits: Partial<RateLimitSnapshot>[]) => new Play(sampleSnapshot({ routes: [{ rateLimits: limits.map(limitOf) }] }));

const client = (number: number) => ({ address: [10, (number >> 16) & 255, (number >> 8) & 255, number & 255] });

const passed = (exchanges: readonly { state: string }[]) => exchanges.filter(({ state }) => state === 'forwarded').length;

t.test('as many as the burst come in, the next is refused and told when', async (t) => {
  const play = playOf({ name: 'all', requests: 10, periodMs: 20_000, burst: 5 });
  t.equal(passed(play.askAll(5)), 5);
  const refused = play.ask();
  t.match(refused, { state: 'answered', status: 429, reason: RATE_LIMITED });
  t.strictSame(refused.fields, {
    'content-type': 'application/json',
    'cache-control': 'no-store',
    'retry-after': '2',
    'ratelimit-policy': '"all";q=10;w=20',
    ratelimit: '"all";r=0;t=2',
  });
});

t.test('who comes back when told to is let in, a moment earlier not', async (t) => {
  const play = playOf({ requests: 1, periodMs: 3_000, burst: 1 });
  play.ask();
  const { fields } = play.ask();
  play.advance(Number(fields['retry-after']) * 1_000 - 10);
  t.match(play.ask(), { status: 429 });
  play.advance(10);
  t.match(play.ask(), { state: 'forwarded' });
});

t.test('a bucket fills at its rate and no further than its burst', async (t) => {
  const play = playOf({ requests: 10, periodMs: 1_000, burst: 4 });
  t.equal(passed(play.askAll(50)), 4);
  play.advance(250);
  t.equal(passed(play.askAll(50)), 2);
  play.advance(60_000);
  t.equal(passed(play.askAll(50)), 4);
});

t.test('what passes is what a bucket would let pass, whatever the rate and the times', async () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5_000 }),
      fc.integer({ min: 100, max: 100_000 }),
      fc.integer({ min: 1, max: 200 }),
      fc.array(fc.integer({ min: 0, max: 3_000 }), { minLength: 1, maxLength: 60 }),
      (requests, periodMs, burst, pauses) => {
        const snapshot = sampleSnapshot({ routes: [{ rateLimits: [limitOf({ requests, periodMs, burst })] }] });
        const limit = new Limit(
          createBucketTable(snapshot),
          0,
          regionsOf(listLimits(snapshot)).regions[0]!,
          limitOf({ requests, periodMs, burst }),
        );
        let tokens = burst;
        let nowMs = 1.7e12;
        // A part of a token is lost to rounding down, never won; a thousandth for what the clock
        // rounds.
        const slack = 0.002 + (3 * requests) / (periodMs * 1_000);
        for (const pause of pauses) {
          nowMs += pause;
          tokens = Math.min(burst, tokens + (pause * requests) / periodMs);
          for (let i = 0; i < 5; i++) {
            const isTaken = limit.take(limit.cell(1, 0, nowMs));
            if (isTaken && tokens < 1 - slack) return false;
            if (!isTaken && tokens > 1 + slack) return false;
            if (isTaken) tokens -= 1;
          }
        }
        return true;
      },
    ),
    { seed: 5, numRuns: 300 },
  );
});

t.test('a key that rested for weeks has a full bucket, however the clock of the bucket wrapped', async (t) => {
  const snapshot = sampleSnapshot({ routes: [{ rateLimits: [limitOf({ requests: 1_000_000, periodMs: 1_000, burst: 100 })] }] });
  const region = regionsOf(listLimits(snapshot)).regions[0]!;
  const limit = new Limit(createBucketTable(snapshot), 0, region, snapshot.routes[0]!.rateLimits[0]!);
  const startMs = 1.7e12;
  for (const idleMs of [2 ** 31 / 1_000, 2 ** 32 / 1_000 - 0.05, 2 ** 32 / 1_000, 2 ** 33 / 1_000, 20 * 86_400_000]) {
    const table = createBucketTable(snapshot);
    const fresh = new Limit(table, 0, region, limit.snapshot);
    while (fresh.take(fresh.cell(1, 0, startMs)));
    let taken = 0;
    while (fresh.take(fresh.cell(1, 0, startMs + idleMs))) taken += 1;
    t.equal(taken, 100, `after ${idleMs} ms`);
  }
});

t.test('clients have buckets of their own', async (t) => {
  const play = playOf({ keys: [CLIENT], burst: 2, requests: 2 });
  t.equal(passed(play.askAll(5, client(1))), 2);
  t.equal(passed(play.askAll(5, client(2))), 2);
});

t.test('a prefix shares a bucket', async (t) => {
  const play = playOf({ keys: [{ ...CLIENT, prefix4: 24 }], burst: 2, requests: 2 });
  t.equal(passed(play.askAll(2, { address: [10, 0, 0, 1] })), 2);
  t.match(play.ask({ address: [10, 0, 0, 2] }), { status: 429 });
  t.match(play.ask({ address: [10, 0, 1, 2] }), { state: 'forwarded' });
});

t.test('who has no key does not escape by it: all of them share a bucket', async (t) => {
  const play = playOf({ keys: [{ ...CLIENT, kind: 'header', name: 'x-key' }], burst: 2, requests: 2 });
  t.equal(passed(play.askAll(5)), 2);
  t.equal(passed(play.askAll(5, { fields: [['x-key', 'a']] })), 2);
});

t.test('of several limits all must pass, and who is refused by one is not charged by another', async (t) => {
  const play = playOf(
    { name: 'all', burst: 100, requests: 100 },
    { name: 'client', keys: [CLIENT], burst: 2, requests: 2, periodMs: 60_000 },
  );
  t.equal(passed(play.askAll(90, client(1))), 2);
  for (let i = 2; i < 51; i++) t.equal(passed(play.askAll(2, client(i))), 2);
  const last = play.ask(client(99));
  t.match(last, { status: 429, fields: { ratelimit: '"all";r=0;t=1' } });
});

t.test('the limit that lasts longest is the one a client is told of', async (t) => {
  const play = playOf({ name: 'short', burst: 1, requests: 1, periodMs: 1_000 }, { name: 'long', burst: 1, requests: 1, periodMs: 30_000 });
  play.ask();
  t.match(play.ask().fields, { 'retry-after': '30', ratelimit: '"long";r=0;t=30' });
});

t.test('no more keys are held than the limit was given, and the one unused longest goes first', async (t) => {
  const play = playOf({ keys: [CLIENT], burst: 1, requests: 1, periodMs: 3_600_000, maxKeys: 8 });
  for (let i = 0; i < 8; i++) {
    play.ask(client(i));
    play.advance(1);
  }
  for (let i = 0; i < 8; i++) t.match(play.ask(client(i)), { status: 429 }, `${i} is still known`);
  play.ask(client(100));
  t.equal(viewLimits(play.snapshot, play.shared.buckets)[0]!.keys, 8);
  t.match(play.ask(client(7)), { status: 429 }, 'the latest is kept');
  t.match(play.ask(client(0)), { state: 'forwarded' }, 'the first was forgotten');
});

t.test('a flood of strangers cannot make a table grow', async (t) => {
  const play = playOf({ keys: [CLIENT], maxKeys: 64 });
  for (let i = 0; i < 2_000; i++) play.ask(client(i));
  t.ok(viewLimits(play.snapshot, play.shared.buckets)[0]!.keys <= 64);
});

t.test('all shards use one bucket', async (t) => {
  const snapshot = { ...sampleSnapshot({ routes: [{ rateLimits: [limitOf({ burst: 10 })] }] }), shards: { count: 2, stallTimeoutMs: 1 } };
  const play = new Play(snapshot);
  t.equal(passed([...play.askAll(8, {}, 0), ...play.askAll(8, {}, 1)]), 10);
});

t.test('the beginning and the end of a refusal are said once, by one shard', async (t) => {
  const snapshot = { ...sampleSnapshot({ routes: [{ rateLimits: [limitOf({ burst: 1 })] }] }), shards: { count: 2, stallTimeoutMs: 1 } };
  const play = new Play(snapshot);
  play.askAll(5, {}, 0);
  play.askAll(5, {}, 1);
  const notes = () => play.seats.flatMap(({ noted }) => noted.notes.map(({ note, detail }) => `${note} ${detail}`));
  t.strictSame(notes(), ['limit_began 0']);
  t.match(viewLimits(snapshot, play.shared.buckets), [{ name: 'test', refused: 9, isRefusing: true }]);
  play.advance(6_000);
  t.strictSame(notes(), ['limit_began 0', 'limit_ended 0']);
  t.match(viewLimits(snapshot, play.shared.buckets), [{ isRefusing: false }]);
});

t.test('the end of a refusal is said although a reload came in between and nobody asks any more', async (t) => {
  const snapshot = sampleSnapshot({ routes: [{ rateLimits: [limitOf({ burst: 1 })] }] });
  const play = new Play(snapshot);
  play.askAll(5);
  const { lane, observer, noted } = play.seats[0]!;
  lane.apply(snapshot, play.shared, observer);
  play.advance(6_000);
  t.strictSame(
    noted.notes.map(({ note }) => note),
    ['limit_began', 'limit_ended'],
  );
});

t.test('tags that agree in half are two keys', async (t) => {
  const snapshot = sampleSnapshot({ routes: [{ rateLimits: [limitOf({ keys: [CLIENT], burst: 1, maxKeys: 8 })] }] });
  const shared = createSharedState(snapshot);
  const limit = new Limit(shared.buckets, 0, regionsOf(listLimits(snapshot)).regions[0]!, snapshot.routes[0]!.rateLimits[0]!);
  t.ok(limit.take(limit.cell(5, 6, 1_000)));
  t.ok(limit.take(limit.cell(5, 7, 1_000)));
  t.ok(limit.take(limit.cell(4, 6, 1_000)));
  t.notOk(limit.take(limit.cell(5, 6, 1_000)));
});

t.test('a cell whose owner died while it claimed it is claimed again later', async (t) => {
  const snapshot = sampleSnapshot({ routes: [{ rateLimits: [limitOf({ keys: [CLIENT], burst: 1, maxKeys: 8 })] }] });
  const table = createBucketTable(snapshot);
  const region = regionsOf(listLimits(snapshot)).regions[0]!;
  const words = new Int32Array(table);
  for (let way = 0; way < 8; way++) words[region.at + 16 + way * 4] = 77;
  const limit = new Limit(table, 0, region, snapshot.routes[0]!.rateLimits[0]!);
  t.ok(limit.take(limit.cell(5, 6, 1e12)));
  t.notOk(limit.take(limit.cell(5, 6, 1e12)));
});
