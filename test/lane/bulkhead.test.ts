import fc from 'fast-check';
import t from 'tap';
import { reasonNumber } from '../../src/base/errors.ts';
import { Place, placeOfUpstream } from '../../src/lane/admit/places.ts';
import { viewPlaces } from '../../src/lane/admit/view.ts';
import { type Exchange, Play } from '../support/play.ts';
import { type RouteWish, sampleSnapshot, type UpstreamWish } from '../support/snapshots.ts';

const BULKHEAD = { max: 2, queue: 3, queueTimeoutMs: 1_000 };

const playOf = (upstream: UpstreamWish, routes: RouteWish[] = [{}], shards = 1) =>
  new Play({ ...sampleSnapshot({ upstreams: [upstream], routes }), shards: { count: shards, stallTimeoutMs: 1 } });

const states = (exchanges: readonly Exchange[]) => exchanges.map(({ state }) => state);

/** Of the first upstream. */
const places = ({ snapshot, shared }: Play) => viewPlaces(snapshot, shared.places).find(({ kind }) => kind === 'upstream');

const refusal = (code: Parameters<typeof reasonNumber>[0]) => ({ state: 'answered', status: 503, reason: reasonNumber(code) });

t.test('as many as may are in flight, some more wait, the others are refused at once and told when to come again', async (t) => {
  const play = playOf({ bulkhead: BULKHEAD });
  const all = play.askAll(6);
  t.strictSame(states(all), ['forwarded', 'forwarded', 'waiting', 'waiting', 'waiting', 'answered']);
  t.match(all[5], { ...refusal('upstream_full'), fields: { 'retry-after': /^[1-9]\d*$/ } });
  t.match(places(play), { inFlight: 2, waiting: 3, max: 2, queue: 3, refused: 1 });
  t.equal(play.seats[0]!.reactor.waitingWord, 3, 'the reactor knows that ends matter');
  t.match(play.noted.notes, [{ note: 'queued' }, { note: 'queued' }, { note: 'queued' }]);
});

t.test('who waits longest goes first, and a newcomer does not overtake', async (t) => {
  const play = playOf({ bulkhead: BULKHEAD });
  const [a, b, c, d] = play.askAll(4) as [Exchange, Exchange, Exchange, Exchange];
  const newcomer = play.arrive();
  play.finish(a);
  t.strictSame(states([c, d, newcomer]), ['forwarded', 'waiting', 'waiting']);
  play.finish(b);
  t.strictSame(states([d, newcomer]), ['forwarded', 'waiting']);
  play.finish(c);
  play.finish(d);
  play.finish(newcomer);
  t.match(places(play), { inFlight: 0, waiting: 0 });
  t.equal(play.seats[0]!.reactor.waitingWord, 0);
});

t.test('two places that become free in one turn go to two who wait', async (t) => {
  const play = playOf({ bulkhead: BULKHEAD });
  const [a, b, c, d, e] = play.askAll(5) as Exchange[];
  play.end(a!);
  play.end(b!);
  const newcomer = play.arrive();
  play.turn();
  t.strictSame(states([c!, d!, e!, newcomer]), ['forwarded', 'forwarded', 'waiting', 'waiting']);
});

t.test('who waited long enough is told so', async (t) => {
  const play = playOf({ bulkhead: BULKHEAD });
  const waiting = play.askAll(3)[2]!;
  play.advance(999);
  t.equal(waiting.state, 'waiting');
  play.advance(1);
  t.match(waiting, refusal('queue_timeout'));
  t.match(waiting.fields, { 'retry-after': /^\d+$/ });
  t.match(places(play), { inFlight: 2, waiting: 0 });
});

t.test('a client that leaves while it waits leaves no gap and no count', async (t) => {
  const play = playOf({ bulkhead: BULKHEAD });
  const [a, , c, d, e] = play.askAll(5) as Exchange[];
  play.leave(d!);
  play.leave(c!);
  t.match(places(play), { inFlight: 2, waiting: 1 });
  play.finish(a!);
  t.equal(e!.state, 'forwarded');
  t.match(places(play), { inFlight: 2, waiting: 0 });
});

t.test('a client that leaves in the turn in which its place came free passes it on', async (t) => {
  const play = playOf({ bulkhead: BULKHEAD });
  const [a, , c, d] = play.askAll(4) as Exchange[];
  play.end(a!);
  play.end(c!, { reason: 6, status: 0, backendStatus: 0 });
  play.turn();
  t.equal(d!.state, 'forwarded');
  t.match(places(play), { inFlight: 2, waiting: 0 });
});

t.test('without a queue the next is refused at once', async (t) => {
  const play = playOf({ bulkhead: { max: 1, queue: 0, queueTimeoutMs: 1_000 } });
  t.match(play.askAll(2)[1], refusal('upstream_full'));
});

t.test('a route has places of its own, and another route of the same upstream does not feel it', async (t) => {
  const routes = [{ match: { path: '/slow' }, bulkhead: { max: 1, queue: 1, queueTimeoutMs: 100 } }, { match: { path: '/' } }];
  const play = playOf({}, routes);
  const all = play.askAll(3, { path: '/slow' });
  t.match(all, [{ state: 'forwarded' }, { state: 'waiting' }, refusal('route_full')]);
  t.ok(play.askAll(20, { path: '/' }).every(({ state }) => state === 'forwarded'));
  play.finish(all[0]!);
  t.equal(all[1]!.state, 'forwarded');
});

t.test('places of route and upstream are taken one after the other and given back together', async (t) => {
  const play = playOf({ bulkhead: { max: 1, queue: 5, queueTimeoutMs: 1_000 } }, [
    { bulkhead: { max: 2, queue: 5, queueTimeoutMs: 1_000 } },
  ]);
  const all = play.askAll(4);
  t.strictSame(states(all), ['forwarded', 'waiting', 'waiting', 'waiting']);
  for (const exchange of all) {
    t.equal(exchange.state, 'forwarded');
    play.finish(exchange);
  }
  for (const place of viewPlaces(play.snapshot, play.shared.places)) t.match(place, { inFlight: 0, waiting: 0 });
});

t.test('the more important go first, and pass those who are less', async (t) => {
  const routes = (['low', 'normal', 'high', 'critical'] as const).map((priority) => ({ match: { path: `/${priority}` }, priority }));
  const play = playOf({ bulkhead: { max: 1, queue: 8, queueTimeoutMs: 1_000 } }, routes);
  const first = play.ask({ path: '/low' });
  const low = play.ask({ path: '/low' });
  const normal = play.ask({ path: '/normal' });
  const critical = play.ask({ path: '/critical' });
  const high = play.ask({ path: '/high' });
  const order: string[] = [];
  let current = first;
  for (let i = 0; i < 4; i++) {
    play.finish(current);
    current = [low, normal, high, critical].find(({ state }) => state === 'forwarded')!;
    order.push(current.head.path);
  }
  t.strictSame(order, ['/critical', '/high', '/normal', '/low']);
});

t.test('an upstream whose backends cannot be had gives its place back with the answer', async (t) => {
  const play = playOf({ bulkhead: BULKHEAD });
  play.seats[0]!.lane.setAddresses(0, 0);
  play.seats[0]!.lane.setAddresses(1, 0);
  t.match(play.ask(), refusal('backend_not_available'));
  t.match(places(play), { inFlight: 0 });
});

t.test('the fallback of a full upstream has the request, and the first upstream nothing of it', async (t) => {
  const snapshot = sampleSnapshot({
    upstreams: [{ bulkhead: { max: 1, queue: 0, queueTimeoutMs: 100 } }, { backends: [{}] }],
    routes: [{ fallback: { kind: 'upstream', target: { upstream: 1, weight: 1, subset: {} } } }],
  });
  const play = new Play(snapshot);
  const [first, second] = play.askAll(2) as [Exchange, Exchange];
  t.match(
    [first, second],
    [
      { state: 'forwarded', slot: 0 },
      { state: 'forwarded', slot: 2 },
    ],
  );
  play.finish(second);
  t.match(places(play), { inFlight: 1 });
  play.finish(first);
  t.match(places(play), { inFlight: 0 });
});

t.test('shards share the places; who waits in one finds what another freed', async (t) => {
  const play = playOf({ bulkhead: BULKHEAD }, [{}], 2);
  const [a, b] = play.askAll(2, {}, 0) as [Exchange, Exchange];
  const waiting = play.ask({}, 1);
  t.equal(waiting.state, 'waiting');
  play.finish(a);
  play.advance(10);
  t.equal(waiting.state, 'forwarded');
  t.match(places(play), { inFlight: 2, waiting: 0 });
  play.finish(b);
  play.finish(waiting);
  t.match(places(play), { inFlight: 0 });
});

t.test('a shard whose exchanges end all the time does not keep another one waiting', async (t) => {
  const play = playOf({ bulkhead: { max: 2, queue: 100, queueTimeoutMs: 1_000 } }, [{}], 2);
  let busy = play.askAll(8, {}, 0);
  const alone = play.ask({}, 1);
  let served = 0;
  for (let ms = 0; ms < 400 && alone.state === 'waiting'; ms++) {
    const [first] = busy.filter(({ state }) => state === 'forwarded');
    if (first !== undefined) {
      play.finish(first);
      served += 1;
    }
    busy = [...busy.filter(({ state }) => state === 'forwarded' || state === 'waiting'), play.ask({}, 0)];
    play.advance(1);
  }
  t.equal(alone.state, 'forwarded');
  t.ok(served > 0, `${served} of the other shard were served meanwhile`);
});

t.test('who waits behind others looks the more rarely', async (t) => {
  const play = playOf({ bulkhead: { max: 1, queue: 200, queueTimeoutMs: 1_000 } }, [{}], 2);
  play.ask({}, 0);
  const waiting = play.askAll(200, {}, 1);
  play.advance(500);
  const looks = waiting.reduce((sum, { offers }) => sum + offers - 1, 0);
  t.ok(looks < 1_000, `${looks} looks of 200 in half a second`);
});

t.test('places outlive the worker that took them, and are given back once', async (t) => {
  const play = playOf({ bulkhead: { max: 3, queue: 3, queueTimeoutMs: 1_000 } }, [{}], 2);
  const old = play.askAll(2, {}, 0);
  const other = play.ask({}, 1);
  const waiting = play.ask({}, 0);
  t.match(places(play), { inFlight: 3, waiting: 1 });
  play.replace(0);
  t.match(places(play), { inFlight: 3, waiting: 0 });
  play.advance(250);
  t.equal(waiting.state, 'waiting', 'who waited waits with the successor');
  play.finish(old[0]!);
  t.equal(waiting.state, 'forwarded', 'and gets the first place that is free');
  for (const exchange of [old[1]!, other, waiting]) play.finish(exchange);
  t.match(places(play), { inFlight: 0, waiting: 0 });
});

t.test('a place that is given back twice is given back once', async (t) => {
  const play = playOf({ bulkhead: BULKHEAD });
  const exchange = play.ask();
  play.finish(exchange);
  play.end(exchange);
  play.turn();
  t.match(places(play), { inFlight: 0 });
  t.strictSame(states(play.askAll(3)), ['forwarded', 'forwarded', 'waiting']);
});

t.test('a place that a worker took with it into death is free after a while', async (t) => {
  const play = playOf({ bulkhead: BULKHEAD });
  play.ask();
  new Place(play.shared.places, play.snapshot, 0, placeOfUpstream(play.snapshot, 0)).take(2);
  play.replace(0);
  t.match(places(play), { inFlight: 2 });
  t.equal(play.ask().state, 'waiting');
  play.advance(62_000);
  t.match(places(play), { inFlight: 0 }, 'also what lasts longer than that: it can be no more than was taken');
});

t.test('whatever comes, ends, leaves and dies: never more than may, and nothing is left at the end', async () => {
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('ask' as const), lane: fc.nat(1), path: fc.constantFrom('/low', '/high') }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('finish' as const), which: fc.nat(50) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('leave' as const), which: fc.nat(50) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('advance' as const), ms: fc.nat(60) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('die' as const), lane: fc.nat(1) }) },
  );
  const routes: RouteWish[] = [
    { match: { path: '/low' }, priority: 'low', bulkhead: { max: 3, queue: 2, queueTimeoutMs: 50 } },
    { match: { path: '/high' }, priority: 'high' },
  ];
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 120 }), (steps) => {
      const play = playOf({ bulkhead: { max: 4, queue: 4, queueTimeoutMs: 100 } }, routes, 2);
      const all: Exchange[] = [];
      const open = (...wanted: Exchange['state'][]) => all.filter(({ state }) => wanted.includes(state));
      const check = () => {
        const { inFlight, waiting } = places(play)!;
        const forwarded = open('forwarded').length;
        if (inFlight !== forwarded || forwarded > 4 || waiting > 4)
          throw new Error(`${inFlight} in flight, ${waiting} wait, ${forwarded} forwarded`);
        if (play.seats.some(({ noted }) => noted.errors.length > 0)) throw play.seats.flatMap(({ noted }) => noted.errors)[0];
      };
      for (const given of steps) {
        if (given.kind === 'ask') all.push(play.ask({ path: given.path }, given.lane));
        if (given.kind === 'finish') {
          const candidates = open('forwarded');
          if (candidates.length > 0) play.finish(candidates[given.which % candidates.length]!);
        }
        if (given.kind === 'leave') {
          const candidates = open('forwarded', 'waiting');
          if (candidates.length > 0) play.leave(candidates[given.which % candidates.length]!);
        }
        if (given.kind === 'die') play.replace(given.lane);
        if (given.kind === 'advance') play.advance(given.ms);
        check();
      }
      for (let left = open('forwarded', 'waiting'); left.length > 0; left = open('forwarded', 'waiting')) {
        for (const exchange of open('forwarded')) play.finish(exchange);
        play.advance(20);
      }
      for (const place of viewPlaces(play.snapshot, play.shared.places)) {
        if (place.inFlight !== 0 || place.waiting !== 0) throw new Error(JSON.stringify(place));
      }
      return play.seats.every(({ reactor }) => reactor.waitingWord === 0);
    }),
    { seed: 11, numRuns: 150 },
  );
});
