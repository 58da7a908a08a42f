import { spawnSync } from 'node:child_process';
import t from 'tap';
import { reasonNumber } from '../../src/base/errors.ts';
import { IN_FLIGHT_WORD } from '../../src/base/tables.ts';
import type { BindingFamily } from '../../src/native/binding.ts';
import { createCounters, ROUTE_SERIES } from '../../src/observe/counters.ts';
import { createLaneObserver } from '../../src/observe/lane-observer.ts';
import { createRegistry } from '../../src/observe/registry.ts';
import { standLane } from '../support/lanes.ts';
import { sampleAttemptFailed, sampleCompletion } from '../support/records.ts';
import { type SnapshotWishes, sampleSnapshot } from '../support/snapshots.ts';

const REACTOR_FAMILIES: BindingFamily[] = [
  {
    name: 'lychgate_drops_total',
    help: 'Drops.',
    kind: 'counter',
    labels: [{ reason: 'a' }, { reason: 'b' }],
    offset: 0,
    stride: 1,
    bounds: [],
    scale: 1,
  },
  {
    name: 'lychgate_turn_seconds',
    help: 'Turns.',
    kind: 'histogram',
    labels: [{}],
    offset: 2,
    stride: 4,
    bounds: [1e-5, 1e-4],
    scale: 1e-6,
  },
];

/** A registry over two shards' tables; each shard has a lane that counts into its own. */
function stand(wishes: SnapshotWishes = {}) {
  const snapshot = sampleSnapshot({ log: { isAccessLogged: false }, ...wishes });
  const counters = [createCounters(snapshot), createCounters(snapshot)];
  let copies = 0;
  const addon = {
    families: () => REACTOR_FAMILIES,
    certificateHandshakes: () => [{ listener: 'public', certificate: 'a.test', full: 3, resumed: 2, failed: 1 }],
    clientCertificatesEnded: () => [{ listener: 'public', reason: 'revoked', count: 4 }],
    reactorCounters: (shard: number) => {
      copies += 1;
      if (shard === 1) throw new Error('no reactor');
      return Float64Array.from([7, 8, 1, 2, 3, 500]);
    },
  };
  const shards = counters.map((table, shard) => {
    const lane = standLane(snapshot);
    const observer = createLaneObserver({ shard, snapshot, counters: table });
    t.teardown(() => observer.close());
    lane.lane.apply(snapshot, lane.shared, observer);
    return lane;
  });
  const registry = createRegistry({ addon, snapshot, counters, backendTable: shards[0]!.backendTable });
  return { registry, shards, snapshot, copies: () => copies };
}

/** The value of a series, written as in the text format. */
function seriesValue(text: string, series: string): number | undefined {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

t.test('what lanes count is what a scrape says, summed over the shards', async (t) => {
  const { registry, shards } = stand();
  for (const { ask, reactor, lane } of shards) {
    const [forward] = ask({});
    if (forward?.kind !== 'forward') throw new Error('not forwarded');
    reactor.offerAttemptFailed(sampleAttemptFailed({ slot: forward.slot, tag: forward.tag, reason: reasonNumber('connect_failed') }));
    lane.decide();
    const [again] = reactor.decisions();
    if (again?.kind !== 'forward') throw new Error('not forwarded again');
    reactor.offerCompletion(sampleCompletion({ tag: again.tag, slot: again.slot, attempts: 2, bytesIn: 10, bytesOut: 20, totalUs: 2_000 }));
    ask({ authority: 'x', path: '/' });
    reactor.offerCompletion(sampleCompletion({ status: 404, reason: reasonNumber('route_not_found'), backendStatus: 0 }));
    lane.decide();
  }
  const text = await registry.metrics();
  const expected: Record<string, number> = {
    'lychgate_requests_total{route="route-0",status_class="2xx"}': 2,
    'lychgate_requests_total{route="(none)",status_class="4xx"}': 2,
    'lychgate_request_failures_total{route="(none)",reason="route_not_found"}': 2,
    'lychgate_request_duration_seconds_bucket{route="route-0",le="0.001"}': 0,
    'lychgate_request_duration_seconds_bucket{route="route-0",le="0.0025"}': 2,
    'lychgate_request_duration_seconds_bucket{route="route-0",le="+Inf"}': 2,
    'lychgate_request_duration_seconds_count{route="route-0"}': 2,
    'lychgate_route_request_body_bytes_total{route="route-0"}': 20,
    'lychgate_route_response_body_bytes_total{route="route-0"}': 40,
    'lychgate_phase_duration_seconds_count{listener="public",phase="await"}': 2,
    'lychgate_phase_duration_seconds_count{listener="public",phase="total"}': 4,
    'lychgate_attempts_total{upstream="web",backend="h2c://127.0.0.1:9000"}': 2,
    'lychgate_attempts_total{upstream="web",backend="h2c://127.0.0.1:9001"}': 4,
    'lychgate_retries_total{upstream="web",backend="h2c://127.0.0.1:9001"}': 2,
    'lychgate_attempt_failures_total{upstream="web",backend="h2c://127.0.0.1:9000",reason="connect_failed"}': 2,
    'lychgate_decide_records_count{shard="1"}': 4,
    'lychgate_decide_failures_total{shard="0"}': 0,
    'lychgate_certificate_handshakes_total{listener="public",certificate="a.test",outcome="resumed"}': 2,
  };
  for (const [series, value] of Object.entries(expected)) t.equal(seriesValue(text, series), value, series);
  t.ok(Math.abs(seriesValue(text, 'lychgate_request_duration_seconds_sum{route="route-0"}')! - 0.004) < 1e-9);
});

t.test('a rule that throws is counted for its shard and told once a second', async (t) => {
  const snapshot = sampleSnapshot({ log: { isAccessLogged: false } });
  const counters = createCounters(snapshot);
  const told: unknown[] = [];
  const observer = createLaneObserver({ shard: 0, snapshot, counters, onLaneError: (error) => told.push(error) });
  t.teardown(() => observer.close());
  for (let i = 0; i < 5; i++) observer.laneFailed(new Error(`${i}`));
  const { backendTable } = standLane(snapshot);
  const registry = createRegistry({
    addon: {
      families: () => [],
      certificateHandshakes: () => [],
      clientCertificatesEnded: () => [],
      reactorCounters: () => new Float64Array(),
    },
    snapshot,
    counters: [counters],
    backendTable,
  });
  t.equal(seriesValue(await registry.metrics(), 'lychgate_decide_failures_total{shard="0"}'), 5);
  t.match(told, [{ message: '0' }]);
  t.equal(told.length, 1);
});

t.test("a reactor's counters are read once a scrape and scaled; one without a reactor has no series", async (t) => {
  const { registry, copies } = stand();
  const text = await registry.metrics();
  t.equal(copies(), 2, 'once for each shard');
  t.equal(seriesValue(text, 'lychgate_drops_total{shard="0",reason="b"}'), 8);
  t.equal(seriesValue(text, 'lychgate_turn_seconds_bucket{shard="0",le="0.00001"}'), 1);
  t.equal(seriesValue(text, 'lychgate_turn_seconds_bucket{shard="0",le="+Inf"}'), 6);
  t.ok(Math.abs(seriesValue(text, 'lychgate_turn_seconds_sum{shard="0"}')! - 5e-4) < 1e-12);
  t.notMatch(text, /lychgate_drops_total\{shard="1"/);
  await registry.metrics();
  t.equal(copies(), 4);
});

t.test('gauges of backends come from the shared table', async (t) => {
  const { registry, shards } = stand();
  new Int32Array(shards[0]!.backendTable)[16 + IN_FLIGHT_WORD] = 3;
  t.equal(seriesValue(await registry.metrics(), 'lychgate_attempts_in_flight{upstream="web",backend="h2c://127.0.0.1:9001"}'), 3);
});

t.test('the number of series is bounded whatever the configuration has', async (t) => {
  const count = ROUTE_SERIES + 100;
  const { registry, shards } = stand({ routes: Array.from({ length: count }, (_, i) => ({ match: { path: `/${i}` } })) });
  const { ask, reactor, lane } = shards[0]!;
  const [forward] = ask({ path: `/${count - 1}` });
  if (forward?.kind !== 'forward') throw new Error('not forwarded');
  reactor.offerCompletion(sampleCompletion({ tag: forward.tag, slot: forward.slot }));
  lane.decide();
  const text = await registry.metrics();
  t.equal(seriesValue(text, 'lychgate_requests_total{route="(other)",status_class="2xx"}'), 1);
  t.equal(new Set(text.match(/route="[^"]*"/g)).size, ROUTE_SERIES + 2);
});

t.test('a backend that an upstream has twice has two series', async (t) => {
  const { registry } = stand({ upstreams: [{ backends: [{ url: 'h2c://a.test' }, { url: 'h2c://a.test' }] }] });
  const text = await registry.metrics();
  t.equal(seriesValue(text, 'lychgate_attempts_total{upstream="web",backend="h2c://a.test"}'), 0);
  t.equal(seriesValue(text, 'lychgate_attempts_total{upstream="web",backend="h2c://a.test#1"}'), 0);
});

const isPromtoolThere = spawnSync('promtool', ['--version']).error === undefined;

t.test('the scrape is clean under promtool', { skip: isPromtoolThere ? false : 'promtool is not installed' }, async (t) => {
  const { registry, shards } = stand();
  shards[0]!.reactor.offerCompletion(sampleCompletion({ reason: 6 }));
  shards[0]!.lane.decide();
  const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: await registry.metrics(), encoding: 'utf8' });
  t.equal(status, 0, `${stdout}${stderr}`);
  t.equal(stdout + stderr, '');
});

t.test('series of resilience are there from the start with 0, so that a first increase is seen', async (t) => {
  const { registry } = stand({ upstreams: [{}, {}] });
  const text = await registry.metrics();
  for (const upstream of ['web', 'web-1']) {
    for (const [family, labels] of [
      ['retries_denied', ',denial="budget"'],
      ['hedges', ',outcome="won"'],
      ['requests_queued', ''],
      ['fallbacks', ''],
      ['sticky_moves', ''],
      ['hash_tables_built', ''],
    ])
      t.equal(seriesValue(text, `lychgate_${family}_total{upstream="${upstream}"${labels}}`), 0, `${family} of ${upstream}`);
  }
  t.equal(seriesValue(text, 'lychgate_underscore_fields_total{outcome="dropped"}'), 0);
});
