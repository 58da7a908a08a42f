import t from 'tap';
import { createEvents, type EdgeEvent } from '../../src/control/events.ts';
import { createWeightControl } from '../../src/control/weights.ts';
import { createWeightTable } from '../../src/lane/balance/weights.ts';
import { createLog } from '../../src/observe/log.ts';
import { sampleSnapshot } from '../support/snapshots.ts';

function stand() {
  const snapshot = sampleSnapshot({
    upstreams: [{ backends: [{}, { weight: 50 }] }, { backends: [{}] }],
    routes: [{ name: 'shop', targets: [{ weight: 90 }, { upstream: 1, weight: 10, subset: { version: 'canary' } }] }, { name: 'rest' }],
  });
  const log = createLog({ level: 'fatal', isText: false, stream: { write() {} } });
  const events = createEvents(() => snapshot, log.target('events'));
  const seen: EdgeEvent[] = [];
  events.subscribe((event) => void seen.push(event));
  const inForce = { snapshot, weights: createWeightTable(snapshot) };
  return { control: createWeightControl(() => inForce, events), seen };
}

t.test('weights are shown beside those that are configured, and only routes with something to weigh', async (t) => {
  const { control } = stand();
  t.match(control.view(), {
    backends: [
      { upstream: 'web', backend: 'h2c://127.0.0.1:9000', configured: 100, weight: 100 },
      { backend: 'h2c://127.0.0.1:9001', configured: 50, weight: 50 },
      { upstream: 'web-1' },
    ],
    routes: [{ route: 'shop', targets: [{ weight: 90 }, { upstream: 'web-1', subset: { version: 'canary' }, weight: 10 }] }],
  });
  t.equal(control.view().routes.length, 1);
});

t.test('a backend is drained and comes back, and each change is an event', async (t) => {
  const { control, seen } = stand();
  t.equal(control.change({ upstream: 'web', backend: 'h2c://127.0.0.1:9001', weight: 0 }), undefined);
  t.match(control.view().backends[1], { weight: 0, configured: 50 });
  t.equal(control.change({ upstream: 'web', backend: 'h2c://127.0.0.1:9001', weight: 50 }), undefined);
  t.match(control.view().backends[1], { weight: 50 });
  t.match(seen, [
    { event: 'weight_changed', upstream: 'web', backend: 'h2c://127.0.0.1:9001', detail: 0 },
    { event: 'weight_changed', detail: 50 },
  ]);
});

t.test('traffic is shifted between the targets of a route', async (t) => {
  const { control, seen } = stand();
  t.equal(control.change({ route: 'shop', weights: [50, 50] }), undefined);
  t.match(control.view().routes[0]?.targets, [{ weight: 50 }, { weight: 50 }]);
  t.match(seen, [{ event: 'weight_changed', detail: 'shop: 50, 50' }]);
});

t.test('an order that fits nothing changes nothing and says why', async (t) => {
  const { control, seen } = stand();
  for (const [order, error, detail] of [
    [
      { upstream: 'web', backend: 'h2c://nowhere:1', weight: 1 },
      'backend_not_found',
      'backend: "h2c://nowhere:1" is no backend of web; expected one of h2c://127.0.0.1:9000, h2c://127.0.0.1:9001',
    ],
    [
      { upstream: 'nobody', backend: 'h2c://127.0.0.1:9001', weight: 1 },
      'backend_not_found',
      'upstream: "nobody" is no upstream; expected one of web, web-1',
    ],
    [{ route: 'rest', weights: [1, 1] }, 'split_not_found', 'route: "rest" is a route with one target; expected one of shop'],
    [{ route: 'none', weights: [1, 1] }, 'split_not_found', 'route: "none" is no route; expected one of shop'],
    [{ route: 'shop', weights: [1] }, 'value_not_valid', 'weights: 1 are given, and the route has 2 targets; expected one for each'],
    [{ route: 'shop', weights: [0, 0] }, 'value_not_valid', 'weights: 0, 0 sends no request anywhere; expected one above 0'],
  ] as const)
    t.strictSame(control.change(order), { error, detail });
  t.strictSame(seen, []);
});
