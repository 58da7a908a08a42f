import t from 'tap';
import { reasonNumber } from '../../src/base/errors.ts';
import type { ConcurrencySnapshot } from '../../src/config/snapshot/limit.ts';
import { viewPlaces } from '../../src/lane/admit/view.ts';
import { Play } from '../support/play.ts';
import { type Load, QueueingStand, total } from '../support/queueing.ts';
import { type RouteWish, sampleSnapshot } from '../support/snapshots.ts';

const GRADIENT: ConcurrencySnapshot = {
  algorithm: 'gradient',
  initial: 32,
  min: 4,
  max: 1_024,
  targetMs: 500,
  tolerance: 1.5,
  brownout: [0.7, 0.9, 0.95],
};

/** Twenty servers of 10 ms: 2,000 requests a second. */
const MODEL = { servers: 20, serviceMs: 10 };
const CAPACITY = 2_000;
const PATIENCE_MS = 250;

const load = (times: number, head?: Load['head']): Load => ({ rate: CAPACITY * times, patienceMs: PATIENCE_MS, ...(head && { head }) });

function stand(concurrency: ConcurrencySnapshot | undefined, routes: RouteWish[] = [{ priority: 'critical' }], model = MODEL) {
  const play = new Play(sampleSnapshot({ upstreams: [concurrency === undefined ? {} : { concurrency }], routes }));
  const upstream = () => viewPlaces(play.snapshot, play.shared.places)[0]!;
  return { play, upstream, backend: new QueueingStand(play, { ...model }) };
}

t.test('without a limit five times what a backend can do leaves nobody served in time', async (t) => {
  const { backend } = stand(undefined);
  backend.run(1_500, load(5));
  const { good } = backend.run(1_500, load(5));
  t.ok(total(good) < CAPACITY * 1.5 * 0.1, `${total(good)} in time`);
});

for (const [name, concurrency] of Object.entries({
  gradient: GRADIENT,
  aimd: { ...GRADIENT, algorithm: 'aimd' as const, targetMs: 40 },
})) {
  t.test(`${name}: at five times the load goodput stays at nine tenths of the peak`, async (t) => {
    const { backend, upstream, play } = stand(concurrency);
    backend.run(1_000, load(0.5));
    backend.run(2_000, load(5));
    const { good, refused, late } = backend.run(8_000, load(5));
    t.ok(total(good) >= CAPACITY * 8 * 0.9, `${total(good)} of ${CAPACITY * 8} in time, ${total(refused)} refused, ${total(late)} late`);
    t.ok(total(late) < total(good) * 0.01, `${total(late)} late`);
    t.ok(upstream().isShedding);
    t.equal(play.noted.notes.filter(({ note }) => note === 'shedding_began').length, 1);
  });

  t.test(`${name}: overload from the first moment on is found out`, async (t) => {
    const { backend, upstream } = stand({ ...concurrency, initial: 500 });
    backend.run(10_000, load(5));
    const { good } = backend.run(5_000, load(5));
    t.ok(total(good) >= CAPACITY * 5 * 0.9, `${total(good)} in time with a limit of ${upstream().adaptive!.limit}`);
  });

  t.test(`${name}: a backend that became slower gets less, and all again when it recovers`, async (t) => {
    const { backend, upstream, play } = stand(concurrency);
    backend.run(4_000, load(1.5));
    backend.model.servers = 5;
    backend.run(6_000, load(1.5));
    const slow = backend.run(4_000, load(1.5));
    t.ok(total(slow.good) >= (CAPACITY / 4) * 4 * 0.85, `${total(slow.good)} in time of ${CAPACITY}, limit ${upstream().adaptive!.limit}`);
    backend.model.servers = 20;
    backend.run(12_000, load(1.5));
    const again = backend.run(4_000, load(1.5));
    t.ok(total(again.good) >= CAPACITY * 4 * 0.9, `${total(again.good)} in time of ${CAPACITY * 4}, limit ${upstream().adaptive!.limit}`);
    backend.run(7_000, load(0.3));
    t.equal(play.noted.notes.at(-1)?.note, 'shedding_ended');
  });
}

t.test('a backend that is slower for good is not held at the least limit', async (t) => {
  const { backend, upstream } = stand(GRADIENT);
  backend.run(3_000, load(1));
  backend.model.serviceMs = 50;
  backend.run(20_000, load(1));
  const { good } = backend.run(5_000, load(1));
  t.ok(total(good) >= (CAPACITY / 5) * 5 * 0.85, `${total(good)} of ${CAPACITY}, limit ${upstream().adaptive!.limit}`);
});

t.test('the least important are shed first, the most important not at all', async (t) => {
  const routes = (['low', 'normal', 'high', 'critical'] as const).map(
    (priority): RouteWish => ({ match: { path: `/${priority}` }, priority }),
  );
  const { backend } = stand({ ...GRADIENT, brownout: [0.5, 0.7, 0.85] }, routes);
  const paths = ['/low', '/low', '/normal', '/low', '/normal', '/low', '/high', '/low', '/normal', '/critical'];
  const mixed = load(3, (number) => ({ path: paths[number % 10]! }));
  backend.run(2_000, mixed);
  const { good, refused } = backend.run(6_000, mixed);
  const share = (path: string) => (good.get(path) ?? 0) / ((good.get(path) ?? 0) + (refused.get(path) ?? 0));
  t.ok(share('/critical') > 0.97, `critical ${share('/critical')}`);
  t.ok(share('/high') > 0.93, `high ${share('/high')}`);
  t.ok(share('/normal') > share('/low'), `normal ${share('/normal')}, low ${share('/low')}`);
  t.ok(total(good) >= CAPACITY * 6 * 0.9, `${total(good)} in time`);
});

t.test('brownout and the limit itself have reasons of their own, and say when to come again', async (t) => {
  const routes: RouteWish[] = [
    { match: { path: '/low' }, priority: 'low' },
    { match: { path: '/critical' }, priority: 'critical' },
  ];
  const { play } = stand({ ...GRADIENT, initial: 10 }, routes);
  const low = play.askAll(8, { path: '/low' });
  t.match(low[6], { state: 'forwarded' });
  t.match(low[7], { status: 503, reason: reasonNumber('brownout'), fields: { 'retry-after': '1' } });
  const critical = play.askAll(4, { path: '/critical' });
  t.match(critical[2], { state: 'forwarded' });
  t.match(critical[3], { status: 503, reason: reasonNumber('concurrency_limited'), fields: { 'retry-after': '1' } });
});

t.test('where nothing is in flight even the least important comes in', async (t) => {
  const { play } = stand({ ...GRADIENT, initial: 1, min: 1 }, [{ priority: 'low' }]);
  t.equal(play.ask().state, 'forwarded');
  t.equal(play.ask().state, 'answered');
});

t.test('a backend that fails everything is asked less, and found again', async (t) => {
  const { play, upstream } = stand({ ...GRADIENT, initial: 100 });
  const answer = (given: object) => {
    for (let i = 0; i < 40; i++) {
      const all = play.askAll(100).filter(({ state }) => state === 'forwarded');
      play.nowMs += 50;
      for (const exchange of all) play.end(exchange, { slot: exchange.slot, awaitUs: 10_000, ...given });
      play.turn();
    }
  };
  answer({ status: 504, backendStatus: 0, reason: reasonNumber('head_timeout') });
  t.ok(upstream().adaptive!.limit < 30, `${upstream().adaptive!.limit}`);
  answer({});
  t.ok(upstream().adaptive!.limit > 50, `${upstream().adaptive!.limit}`);
});
