import { Registry } from 'prom-client';
import t from 'tap';
import { noteNumber } from '../../src/base/notes.ts';
import { createEvents } from '../../src/control/events.ts';
import { addLimitMetrics } from '../../src/control/metrics/limits.ts';
import { viewAllLimits } from '../../src/control/view/limits.ts';
import { createLog } from '../../src/observe/log.ts';
import { Metrics } from '../support/metrics.ts';
import { Play } from '../support/play.ts';
import { sampleSnapshot } from '../support/snapshots.ts';

const RATE = {
  name: 'few',
  keys: [],
  requests: 3,
  periodMs: 60_000,
  burst: 3,
  maxKeys: 8,
  isShared: false,
  onStoreFailure: 'local',
} as const;
const ADAPTIVE = { algorithm: 'gradient', initial: 2, min: 1, max: 8, targetMs: 500, tolerance: 1.5, brownout: [1, 1, 1] } as const;

const snapshot = sampleSnapshot({
  upstreams: [{ bulkhead: { max: 1, queue: 1, queueTimeoutMs: 1_000 } }, { name: 'api', concurrency: ADAPTIVE }],
  routes: [
    { match: { path: '/rate' }, rateLimits: [RATE], targets: [{ upstream: 1 }] },
    { match: { path: '/api' }, targets: [{ upstream: 1 }] },
    { match: { path: '/' } },
  ],
});

t.test('places, adaptive limits and rate limits are shown as metrics and by the admin API', async (t) => {
  const play = new Play(snapshot);
  const registry = new Registry();
  addLimitMetrics(registry, { snapshot, shared: play.shared });
  play.askAll(3);
  play.askAll(5, { path: '/rate' });
  const metrics = new Metrics(await registry.metrics());
  const web = { kind: 'upstream', name: 'web' };
  t.equal(metrics.sum('lychgate_places_taken', web), 1);
  t.equal(metrics.sum('lychgate_places_waited_for', web), 1);
  t.equal(metrics.sum('lychgate_places_refused_total', web), 1);
  t.equal(metrics.sum('lychgate_shed_total', { upstream: 'api' }), 1);
  t.equal(metrics.sum('lychgate_adaptive_limit', { upstream: 'api' }), 2);
  t.equal(metrics.sum('lychgate_rate_limited_total', { kind: 'route', name: 'route-0', limit: 'few' }), 2);
  t.equal(metrics.sum('lychgate_rate_limit_keys', { limit: 'few' }), 1);
  t.match(viewAllLimits(snapshot, play.shared), {
    places: [
      { name: 'web', inFlight: 1, waiting: 1, max: 1, queue: 1 },
      { name: 'api', isShedding: true, adaptive: { limit: 2 } },
    ],
    rateLimits: [{ name: 'few', of: 'route-0', refused: 2, isRefusing: true, isShared: false }],
    storeLostShards: null,
  });
});

t.test('events of limits name the limit', async (t) => {
  const log = createLog({ level: 'fatal', isText: false, stream: { write: () => {} } });
  const events = createEvents(() => snapshot, log.target('events'));
  const seen: unknown[] = [];
  events.subscribe((event) => void seen.push(event));
  events.note({ note: noteNumber('limit_began'), upstream: -1, slot: -1, detail: 0 });
  t.match(seen, [{ event: 'limit_began', detail: 'few' }]);
});
