import t, { type Test } from 'tap';
import { reasonNumber } from '../../src/base/errors.ts';
import type { RateLimitSnapshot } from '../../src/config/snapshot/limit.ts';
import { RedisStore } from '../../src/lane/admit/rate-limit/redis/redis-store.ts';
import { viewLimits, viewStoreLost } from '../../src/lane/admit/rate-limit/view.ts';
import type { Observer } from '../../src/lane/observer.ts';
import type { DecisionWriter } from '../../src/record/write.ts';
import { type Exchange, Play } from '../support/play.ts';
import { sampleSnapshot } from '../support/snapshots.ts';
import { missingStore, startStore, startStoreRoad } from '../support/store.ts';
import { until } from '../support/wait.ts';

const CLIENT = { kind: 'client', name: '', prefix4: 32, prefix6: 64 } as const;
const TIMEOUT_MS = 200;

const limitOf = (given: Partial<RateLimitSnapshot>): RateLimitSnapshot => ({
  name: 'shared',
  keys: [CLIENT],
  requests: 10,
  periodMs: 3_600_000,
  burst: 10,
  maxKeys: 1_024,
  isShared: true,
  onStoreFailure: 'local',
  ...given,
});

function playOf(t: Test, url: string, limits: Partial<RateLimitSnapshot>[], timeoutMs = TIMEOUT_MS): Play {
  const store = { kind: 'redis' as const, url, prefix: 'edge:', timeoutMs };
  const play = new Play(sampleSnapshot({ store, routes: [{ rateLimits: limits.map(limitOf) }] }));
  t.teardown(() => {
    for (const { lane } of play.seats) lane.close();
  });
  return play;
}

/** Asks and waits, in real time, until the store has spoken. */
async function askAll(play: Play, count: number, head = {}): Promise<Exchange[]> {
  const all = play.askAll(count, head);
  await until('the store answered', () => all.every(({ state }) => state !== 'waiting'));
  return all;
}

const passed = (all: readonly Exchange[]) => all.filter(({ state }) => state === 'forwarded').length;
const notes = (play: Play) => play.noted.notes.map(({ note }) => note);

t.test('limits in a store', { skip: missingStore }, async (t) => {
  t.test('two edges share one limit', async (t) => {
    const { url } = await startStore(t);
    const edges = [playOf(t, url, [{}]), playOf(t, url, [{}])];
    const all = (await Promise.all(edges.map((edge) => askAll(edge, 10)))).flat();
    t.equal(passed(all), 10);
    const refused = all.find(({ state }) => state === 'answered')!;
    t.match(refused, { status: 429, reason: reasonNumber('rate_limited') });
    t.match(refused.fields, { 'retry-after': '360', ratelimit: '"shared";r=0;t=360', 'ratelimit-policy': '"shared";q=10;w=3600' });
    t.match(viewLimits(edges[0]!.snapshot, edges[0]!.shared.buckets), [{ isShared: true, keys: 0 }]);
  });

  t.test('a question that fails at once does not enter the reactor within the turn that asked it', async (t) => {
    const { url } = await startStore(t);
    const { snapshot, shared } = new Play(sampleSnapshot());
    let kicks = 0;
    const store = new RedisStore({
      snapshot: { kind: 'redis', url, prefix: 'edge:', timeoutMs: TIMEOUT_MS },
      writer: { hasRoom: () => true, wake() {} } as unknown as DecisionWriter,
      kick: () => {
        kicks += 1;
      },
      observer: { noted() {} } as unknown as Observer,
      table: shared.buckets,
      shard: snapshot.shards.count - 1,
    });
    t.teardown(() => store.close());
    await until('the connection stands', () => store['connection'].isReady);
    store['connection']['redis'].stream.end();
    store.begin(1, 1);
    store.add(0, limitOf({}), 1, 1);
    store.send(0);
    for (let i = 0; i < 100; i++) await Promise.resolve();
    t.equal(kicks, 0, 'microtasks run before the turn is over');
    await new Promise(setImmediate);
    t.equal(kicks, 1);
  });

  t.test('clients, and limits of other names, have buckets of their own', async (t) => {
    const { url } = await startStore(t);
    const play = playOf(t, url, [{}]);
    t.equal(passed(await askAll(play, 15, { address: [10, 0, 0, 1] })), 10);
    t.equal(passed(await askAll(play, 5, { address: [10, 0, 0, 2] })), 5);
    t.equal(passed(await askAll(playOf(t, url, [{ name: 'other' }]), 5, { address: [10, 0, 0, 1] })), 5);
  });

  t.test('a bucket fills again by the clock of the store', async (t) => {
    const { url } = await startStore(t);
    const play = playOf(t, url, [{ requests: 1, periodMs: 300, burst: 1 }]);
    t.equal(passed(await askAll(play, 3)), 1);
    await until('a token is back', async () => passed(await askAll(play, 1)) === 1);
  });

  t.test('who is refused by one of several limits is charged by none, wherever they are kept', async (t) => {
    const { url, client } = await startStore(t);
    const all = { name: 'all', keys: [], burst: 100, requests: 100 };
    const local = { name: 'local', keys: [], burst: 100, requests: 100, isShared: false };
    const play = playOf(t, url, [all, { name: 'few', burst: 2, requests: 2 }, local]);
    t.equal(passed(await askAll(play, 60)), 2);
    t.match((await askAll(play, 1))[0]!.fields, { ratelimit: /^"few"/ });
    for (let i = 0; i < 49; i++) t.equal(passed(await askAll(play, 2, { address: [10, 0, 0, i] })), 2);
    t.match((await askAll(play, 1, { address: [10, 0, 1, 1] }))[0], { status: 429 });
    t.equal((await client.keys('edge:all:*')).length, 1);
  });

  t.test('keys have the prefix, name no client and go when their bucket is full', async (t) => {
    const { url, client } = await startStore(t, 'a-secret');
    await askAll(playOf(t, url, [{ periodMs: 10_000 }]), 3, { address: [203, 0, 113, 7] });
    const keys = await client.keys('*');
    t.equal(keys.length, 1);
    t.match(keys[0], /^edge:shared:[0-9a-f]{16}$/);
    const leftMs = await client.pttl(keys[0]!);
    t.ok(leftMs > 2_000 && leftMs <= 3_002, `${leftMs} ms`);
  });

  t.test('a store that forgot the script is told it again', async (t) => {
    const { url, client } = await startStore(t);
    const play = playOf(t, url, [{}]);
    await askAll(play, 1);
    await client.script('FLUSH');
    t.equal(passed(await askAll(play, 20)), 9);
    t.strictSame(
      notes(play).filter((note) => note.startsWith('store')),
      [],
    );
  });

  t.test('a client that leaves while the store is asked leaves nothing behind', async (t) => {
    const { url, port } = await startStore(t);
    const road = await startStoreRoad(t, port);
    const play = playOf(t, url.replace(String(port), String(road.port)), [{}], 1_000);
    await askAll(play, 1);
    road.delayMs = 50;
    const [gone, stays] = play.askAll(2) as [Exchange, Exchange];
    play.leave(gone);
    await until('the other is served', () => stays.state === 'forwarded');
    t.strictSame(play.noted.errors, []);
  });

  const gone = {
    local: { first: 10, reason: 'rate_limited', status: 429 },
    pass: { first: 15, reason: 'none', status: 0 },
    refuse: { first: 0, reason: 'rate_limit_not_available', status: 503 },
  } as const;
  for (const [onStoreFailure, { first, reason, status }] of Object.entries(gone)) {
    t.test(`without a store, as configured: ${onStoreFailure}`, async (t) => {
      const { url, stop } = await startStore(t);
      const play = playOf(t, url, [{ onStoreFailure: onStoreFailure as 'local' }]);
      t.equal(passed(await askAll(play, 1)), 1);
      await stop();
      await until('it is missed', () => viewStoreLost(play.shared.buckets) === 1);
      const all = play.askAll(15);
      t.ok(
        all.every(({ state }) => state !== 'waiting'),
        'nobody waits for a store that is known to be gone',
      );
      t.equal(passed(all), first);
      if (status !== 0) t.match(all.at(-1), { status, reason: reasonNumber(reason), fields: { 'retry-after': /^\d+$/ } });
      t.equal(notes(play).filter((note) => note === 'store_lost').length, 1);
    });
  }

  t.test('a store that never was there is missed before anybody waited for longer than its timeout', async (t) => {
    const play = playOf(t, 'redis://127.0.0.1:1', [{}]);
    t.equal(passed(await askAll(play, 15)), 10);
    t.equal(viewStoreLost(play.shared.buckets), 1);
  });

  t.test('nobody waits longer than the timeout for a slow store, few wait at all, and it is found again', async (t) => {
    const { url, port } = await startStore(t);
    const road = await startStoreRoad(t, port);
    const play = playOf(t, url.replace(String(port), String(road.port)), [{ burst: 1_000, requests: 1_000 }]);
    await askAll(play, 1);
    road.delayMs = 4_000;
    const slow = play.askAll(5);
    t.ok(slow.every(({ state, untilMs }) => state === 'waiting' && untilMs <= play.nowMs + TIMEOUT_MS));
    await until('its time is over', () => slow.every(({ state }) => state === 'forwarded'));
    t.ok(
      play.askAll(20).every(({ state }) => state === 'forwarded'),
      'the next do not ask',
    );
    t.strictSame(
      notes(play).filter((note) => note.startsWith('store')),
      ['store_lost'],
    );
    road.delayMs = 0;
    await until('it is asked again and answers', async () => {
      play.advance(200);
      await askAll(play, 3);
      return notes(play).includes('store_found');
    });
    t.equal(viewStoreLost(play.shared.buckets), 0);
  });

  t.test('the exchange comes back by its own clock where the answer never comes', async (t) => {
    const { url, port } = await startStore(t);
    const road = await startStoreRoad(t, port);
    const play = playOf(t, url.replace(String(port), String(road.port)), [{ onStoreFailure: 'refuse' }], 10_000);
    await askAll(play, 1);
    road.delayMs = 60_000;
    const exchange = play.ask();
    play.advance(9_999);
    t.equal(exchange.state, 'waiting');
    play.advance(1);
    t.match(exchange, { status: 503, reason: reasonNumber('rate_limit_not_available') });
  });

  t.test('a connection that is cut is made again', async (t) => {
    const { url, port } = await startStore(t);
    const road = await startStoreRoad(t, port);
    const play = playOf(t, url.replace(String(port), String(road.port)), [{ burst: 100, requests: 100 }]);
    await askAll(play, 1);
    await road.close();
    await until('it is missed', () => viewStoreLost(play.shared.buckets) === 1);
    await road.open();
    await until('it is found', async () => {
      play.advance(200);
      await askAll(play, 1);
      return viewStoreLost(play.shared.buckets) === 0;
    });
    t.strictSame(
      notes(play).filter((note) => note.startsWith('store')),
      ['store_lost', 'store_found'],
    );
  });
});
