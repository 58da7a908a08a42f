import t from 'tap';
import {
  carryWeights,
  createWeightTable,
  MAX_WEIGHT,
  readWeights,
  setBackendWeight,
  setTargetWeight,
  Weights,
} from '../../src/lane/balance/weights.ts';
import { createSharedState } from '../../src/lane/shared.ts';
import { standLane } from '../support/lanes.ts';
import { sampleSnapshot } from '../support/snapshots.ts';

const WISHES = {
  upstreams: [
    { name: 'web', backends: [{ weight: 1 }, { weight: 2 }] },
    { name: 'canary', backends: [{ weight: 3 }] },
  ],
  routes: [
    { targets: [{ upstream: 0 }] },
    {
      targets: [
        { upstream: 0, weight: 90 },
        { upstream: 1, weight: 10 },
      ],
    },
  ],
};

t.test('a table begins with what is configured', async (t) => {
  t.strictSame(readWeights(createWeightTable(sampleSnapshot(WISHES))), { backends: [1, 2, 3], targets: [[100], [90, 10]] });
});

t.test('a change is seen by whoever has the table, and moves the version', async (t) => {
  const table = createWeightTable(sampleSnapshot(WISHES));
  const weights = new Weights(table);
  const version = weights.version();
  setBackendWeight(table, 2, 7);
  t.not(weights.version(), version);
  setTargetWeight(table, 1, 1, 50);
  t.equal(weights.ofBackend(2), 7);
  t.equal(weights.at(weights.wordOfTargets(1) + 1), 50);
  t.strictSame(readWeights(table), { backends: [1, 2, 7], targets: [[100], [90, 50]] });
});

t.test('what does not exist and what cannot be is refused, and changes nothing', async (t) => {
  const table = createWeightTable(sampleSnapshot(WISHES));
  for (const slot of [-1, 3, 0.5, Number.NaN]) t.throws(() => setBackendWeight(table, slot, 1), RangeError);
  for (const [route, target] of [
    [2, 0],
    [0, 1],
    [1, 2],
    [-1, 0],
  ])
    t.throws(() => setTargetWeight(table, route!, target!, 1), RangeError);
  for (const weight of [-1, 0.5, MAX_WEIGHT + 1, Number.NaN]) t.throws(() => setBackendWeight(table, 0, weight), RangeError);
  t.equal(new Weights(table).version(), 0);
});

t.test('a drained backend gets no request more, and one again when its weight is back', async (t) => {
  const stand = standLane(sampleSnapshot());
  setBackendWeight(stand.shared.weights, 0, 0);
  const slots = () => stand.ask({}, {}, {}, {}).map((decision) => ('slot' in decision ? decision.slot : -1));
  t.strictSame(slots(), [1, 1, 1, 1]);
  setBackendWeight(stand.shared.weights, 0, 100);
  t.ok(slots().includes(0));
});

t.test('a lane that begins after the change knows it', async (t) => {
  const snapshot = sampleSnapshot();
  const stand = standLane(snapshot);
  const shared = createSharedState(snapshot);
  setBackendWeight(shared.weights, 1, 0);
  const observer = { attempted() {}, attemptFailed() {}, noted() {}, laneFailed() {}, completed() {}, turned() {} };
  stand.lane.apply(snapshot, shared, observer);
  t.match(stand.ask({}, {}), [{ slot: 0 }, { slot: 0 }]);
});

t.test('weights changed at run time outlive a reload that leaves their configuration as it was', async (t) => {
  const snapshot = sampleSnapshot(WISHES);
  const from = { snapshot, weights: createWeightTable(snapshot) };
  setBackendWeight(from.weights, 0, 0);
  setBackendWeight(from.weights, 1, 9);
  setTargetWeight(from.weights, 1, 1, 30);
  const [web, canary] = WISHES.upstreams as [(typeof WISHES.upstreams)[0], (typeof WISHES.upstreams)[0]];
  const url = (slot: number) => ({ url: snapshot.backends[slot]!.url });
  const next = sampleSnapshot({
    // Another order, another weight for the second, and one more.
    upstreams: [
      {
        name: 'web',
        backends: [
          { weight: 5, ...url(1) },
          { weight: 1, ...url(0) },
          { weight: 4, url: 'h2c://new:80' },
        ],
      },
      canary,
    ],
    routes: [...WISHES.routes.slice(0, 1), WISHES.routes[1]!],
  });
  t.equal(web.backends.length, 2);
  const to = { snapshot: next, weights: createWeightTable(next) };
  carryWeights(from, to);
  t.strictSame(readWeights(to.weights), { backends: [5, 0, 4, 3], targets: [[100], [90, 30]] });
});
