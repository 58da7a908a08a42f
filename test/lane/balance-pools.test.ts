import t from 'tap';
import { slotsOf } from '../../src/lane/balance/subset.ts';
import { standLane } from '../support/lanes.ts';
import type { Decision } from '../support/records.ts';
import { sampleSnapshot } from '../support/snapshots.ts';

const BACKENDS = [
  { labels: { version: 'stable', zone: 'a' } },
  { labels: { version: 'stable', zone: 'b' } },
  { labels: { version: 'canary', zone: 'a' } },
  { labels: {} },
];

const slots = (decisions: readonly Decision[]) =>
  [...new Set(decisions.map((decision) => ('slot' in decision ? decision.slot : -1)))].sort();

t.test('a route that asks for labels gets the backends that have all of them', async (t) => {
  const snapshot = sampleSnapshot({
    upstreams: [{ backends: BACKENDS }],
    routes: [
      { match: { path: '/canary' }, targets: [{ subset: { version: 'canary' } }] },
      { match: { path: '/stable' }, targets: [{ subset: { version: 'stable' } }] },
      { match: { path: '/both' }, targets: [{ subset: { zone: 'b', version: 'stable' } }] },
      { match: { path: '/nobody' }, targets: [{ subset: { version: 'none' } }] },
      {},
    ],
  });
  const ask = (path: string) => slots(standLane(snapshot).ask(...Array.from({ length: 12 }, () => ({ path }))));
  t.strictSame(ask('/canary'), [2]);
  t.strictSame(ask('/stable'), [0, 1]);
  t.strictSame(ask('/both'), [1]);
  t.strictSame(ask('/'), [0, 1, 2, 3]);
  t.match(standLane(snapshot).ask({ path: '/nobody' }), [{ kind: 'respond', status: 503 }]);
});

t.test('routes that ask for the same share a pool and its turn, however they write it', async (t) => {
  const snapshot = sampleSnapshot({
    upstreams: [{ backends: BACKENDS }],
    routes: [
      { match: { path: '/one' }, targets: [{ subset: { version: 'stable', zone: 'a' } }, { subset: { version: 'stable' } }] },
      { match: { path: '/other' }, targets: [{ subset: { zone: 'a', version: 'stable' } }] },
    ],
  });
  const stand = standLane(snapshot);
  const [one, other] = stand.ask({ path: '/one' }, { path: '/other' }) as [Decision & { memo0: number }, Decision & { memo0: number }];
  t.equal(one.memo0 & 0xffff, other.memo0 & 0xffff);
});

t.test('a weighted split sends to subsets of one upstream', async (t) => {
  const snapshot = sampleSnapshot({
    upstreams: [{ backends: BACKENDS }],
    routes: [
      {
        targets: [
          { weight: 90, subset: { version: 'stable' } },
          { weight: 10, subset: { version: 'canary' } },
        ],
      },
    ],
  });
  const stand = standLane(snapshot);
  let canary = 0;
  for (let i = 0; i < 100; i++) {
    for (const decision of stand.ask(...Array.from({ length: 100 }, () => ({}))))
      if ('slot' in decision && decision.slot === 2) canary += 1;
  }
  t.equal(canary, 1_000);
});

t.test('the slots of a target stand in configured order', async (t) => {
  const snapshot = sampleSnapshot({ upstreams: [{}, { backends: BACKENDS }] });
  t.strictSame(slotsOf(snapshot, { upstream: 1, subset: {} }), [2, 3, 4, 5]);
  t.strictSame(slotsOf(snapshot, { upstream: 1, subset: { zone: 'a' } }), [2, 4]);
});
