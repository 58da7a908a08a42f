/**
 * What is done about overload without a word of configuration: against backends of queueing theory,
 * in simulated time.
 */

import t from 'tap';
import { reasonNumber } from '../../src/base/errors.ts';
import { viewGuards } from '../../src/lane/admit/view.ts';
import { Play } from '../support/play.ts';
import { type BackendModel, type Load, QueueingStand, total } from '../support/queueing.ts';
import { type RouteWish, sampleSnapshot } from '../support/snapshots.ts';

const FOR_EVER = Number.POSITIVE_INFINITY;
const CALM_SECONDS = 600;

function stand(model: BackendModel, isGuarded = true, routes: RouteWish[] = [{}]) {
  const play = new Play(sampleSnapshot({ upstreams: [{ overload: { isGuarded } }], routes }));
  const guard = () => viewGuards(play.snapshot, play.shared.places)[0]!;
  return { play, guard, backend: new QueueingStand(play, { ...model }) };
}

/** Servers, service time and how long clients wait; requests a second that the backend can do. */
const BACKENDS: readonly [model: BackendModel, patienceMs: number, capacity: number][] = [
  [{ servers: 1, serviceMs: 10 }, 2_000, 100],
  [{ servers: 1, serviceMs: 10 }, 500, 100],
  [{ servers: 5, serviceMs: 50 }, 2_000, 100],
  [{ servers: 4, serviceMs: 20 }, FOR_EVER, 200],
  [{ servers: 100, serviceMs: 500 }, 3_000, 200],
];

for (const [model, patienceMs, capacity] of BACKENDS) {
  const name = `${model.servers} × ${model.serviceMs} ms, clients that wait ${patienceMs === FOR_EVER ? 'for ever' : `${patienceMs} ms`}`;
  t.test(`five times the capacity: four fifths of it are good answers, the first seconds included (${name})`, async (t) => {
    const { backend } = stand(model);
    backend.run(3_000, { rate: capacity * 0.7, patienceMs });
    const { good, refused, late } = backend.run(30_000, { rate: capacity * 5, patienceMs });
    t.ok(total(good) >= capacity * 30 * 0.8, `${total(good)} of ${capacity * 30} in time, ${total(refused)} refused, ${total(late)} late`);
    const after = backend.run(5_000, { rate: capacity * 5, patienceMs });
    t.ok(total(after.late) <= total(after.good) * 0.05, `${total(after.late)} late`);
    t.ok(after.longestMs < 500 + model.serviceMs * 5, `${after.longestMs} ms at most`);
  });
}

t.test('without the guard nobody is served at five times the capacity', async (t) => {
  const { backend } = stand({ servers: 1, serviceMs: 10 }, false);
  backend.run(5_000, { rate: 500, patienceMs: 2_000 });
  t.equal(total(backend.run(10_000, { rate: 500, patienceMs: 2_000 }).good), 0);
});

t.test('a little too much is shed too, and all are served again when it is over', async (t) => {
  const { backend, guard, play } = stand({ servers: 4, serviceMs: 20 });
  const { good } = backend.run(40_000, { rate: 300, patienceMs: 2_000 });
  t.ok(total(good) >= 200 * 40 * 0.8, `${total(good)} of ${200 * 40} in time`);
  t.ok(guard().shed > 0);
  backend.run(10_000, { rate: 140, patienceMs: 2_000 });
  const after = backend.run(10_000, { rate: 140, patienceMs: 2_000 });
  t.equal(total(after.refused), 0);
  t.match(guard(), { limit: 0, waiting: 0, isShedding: false });
  const noted = play.noted.notes.map(({ note }) => note);
  t.equal(noted.filter((note) => note === 'shedding_began').length, noted.filter((note) => note === 'shedding_ended').length);
});

/** Answers of 1 ms and, for such a share of requests, of 2 s. */
const mixed = (share: number) => (drawn: number) => (drawn < share ? 2_000 : 1);

interface Calm {
  readonly name: string;
  readonly model: BackendModel;
  readonly rate: number;
  readonly load?: Partial<Load>;
  /** What happens to the backend at the second. */
  readonly at?: (model: BackendModel, second: number) => void;
  /** It pauses for half a second every so many. */
  readonly pauseEverySeconds?: number;
}

const CALM: readonly Calm[] = [
  { name: 'half of the answers take 1 ms, half 2 s', model: { servers: 100, serviceMs: 0, service: mixed(0.5) }, rate: 70 },
  { name: 'one in ten takes 2 s, on few servers', model: { servers: 20, serviceMs: 0, service: mixed(0.1) }, rate: 70 },
  { name: 'nearly all take 2 s', model: { servers: 100, serviceMs: 0, service: mixed(0.95) }, rate: 37 },
  {
    name: 'event streams are opened all the time and stay open',
    model: { servers: 1, serviceMs: 10 },
    rate: 75,
    load: { isStream: (path) => path === '/events', head: (number) => (number % 15 === 0 ? { path: '/events' } : {}) },
  },
  {
    name: 'a cold backend takes ten times as long for its first three seconds',
    model: { servers: 4, serviceMs: 200 },
    rate: 140,
    at: (model, second) => {
      model.serviceMs = second < 3 ? 200 : 20;
    },
  },
  { name: 'the backend pauses for 500 ms', model: { servers: 1, serviceMs: 10 }, rate: 70, pauseEverySeconds: 10 },
  {
    name: 'all of it together',
    model: { servers: 50, serviceMs: 0, service: mixed(0.5) },
    rate: 37,
    load: { isStream: (path) => path === '/events', head: (number) => (number % 15 === 0 ? { path: '/events' } : {}) },
    at: (model, second) => {
      model.service = second < 3 ? (drawn) => 500 + mixed(0.5)(drawn) : mixed(0.5);
    },
    pauseEverySeconds: 10,
  },
];

for (const { name, model, rate, load, at, pauseEverySeconds } of CALM) {
  t.test(`at 0.7 times the capacity nobody is turned away in ten minutes: ${name}`, async (t) => {
    const { backend, guard } = stand(model);
    const calm: Load = { rate, patienceMs: FOR_EVER, ...load };
    for (let second = 0; second < CALM_SECONDS; second++) {
      at?.(backend.model, second);
      backend.model.isPaused = pauseEverySeconds !== undefined && second % pauseEverySeconds === pauseEverySeconds - 1;
      const first = backend.run(500, calm);
      backend.model.isPaused = false;
      const rest = backend.run(500, calm);
      if (total(first.refused) + total(rest.refused) > 0) t.fail(`${total(first.refused) + total(rest.refused)} in second ${second}`);
    }
    t.equal(guard().shed, 0);
  });
}

t.test('answers that take two seconds all of a sudden, whatever is in flight, are no overload', async (t) => {
  const { backend } = stand({ servers: 10_000, serviceMs: 10 });
  backend.run(10_000, { rate: 70, patienceMs: FOR_EVER });
  backend.model.serviceMs = 2_000;
  t.equal(total(backend.run(40_000, { rate: 70, patienceMs: FOR_EVER }).refused), 0);
});

t.test('a backend that hangs for ever is not asked in vain by everybody, and found again', async (t) => {
  const { backend } = stand({ servers: 4, serviceMs: 20 });
  backend.run(5_000, { rate: 140, patienceMs: 2_000 });
  backend.model.isPaused = true;
  backend.run(20_000, { rate: 140, patienceMs: 2_000 });
  backend.model.isPaused = false;
  backend.run(40_000, { rate: 140, patienceMs: 2_000 });
  const { good, refused } = backend.run(5_000, { rate: 140, patienceMs: 2_000 });
  t.ok(total(good) >= 140 * 5 * 0.95, `${total(good)} in time, ${total(refused)} refused`);
});

t.test('the more important are served while the others are turned away', async (t) => {
  const routes: RouteWish[] = [
    { match: { path: '/gold' }, priority: 'critical' },
    { match: { path: '/' }, priority: 'low' },
  ];
  const { backend } = stand({ servers: 4, serviceMs: 20 }, true, routes);
  const load: Load = { rate: 1_000, patienceMs: 2_000, head: (number) => ({ path: number % 10 === 0 ? '/gold' : '/' }) };
  backend.run(8_000, load);
  const { good, refused, late } = backend.run(10_000, load);
  const gold = good.get('/gold') ?? 0;
  t.ok(gold >= 0.98 * (gold + (refused.get('/gold') ?? 0) + (late.get('/gold') ?? 0)), `${gold} served, ${refused.get('/gold')} refused`);
  t.ok(total(good) >= 200 * 10 * 0.85, `${total(good)} in time`);
});

t.test('what is known of an overloaded upstream outlives a new snapshot', async (t) => {
  const { backend, play, guard } = stand({ servers: 1, serviceMs: 10 });
  backend.run(10_000, { rate: 500, patienceMs: 2_000 });
  const seat = play.seats[0]!;
  seat.lane.apply(play.snapshot, play.shared, seat.observer);
  const { good } = backend.run(5_000, { rate: 500, patienceMs: 2_000 });
  t.ok(total(good) >= 100 * 5 * 0.85, `${total(good)} in time of ${100 * 5}`);
  t.ok(guard().limit > 0);
});

t.test('who is turned away is told why, and when to come again', async (t) => {
  const { backend, play } = stand({ servers: 1, serviceMs: 10 });
  backend.run(10_000, { rate: 500, patienceMs: FOR_EVER });
  const all = play.askAll(300);
  play.advance(300);
  const refused = all.find(({ state }) => state === 'answered');
  t.match(refused, { status: 503, reason: reasonNumber('queue_timeout'), fields: { 'retry-after': /^[1-9]\d*$/ } });
});
