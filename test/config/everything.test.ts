import { createHash } from 'node:crypto';
import t from 'tap';
import { redact } from '../../src/config/describe/redact.ts';
import type { Snapshot } from '../../src/config/snapshot/snapshot.ts';
import { load } from './support/configuration.ts';
import { EVERYTHING } from './support/everything.ts';

async function everything(t: import('tap').Test): Promise<Snapshot> {
  const { snapshot, problems } = await load(t, EVERYTHING);
  // Its first route hedges where requests stick, so that both are in it.
  t.same(
    problems.map(({ message }) => message),
    ['never acts: requests stick to their backend by cookie (upstreams.web.balance.sticky)'],
  );
  if (snapshot === undefined) throw new Error('no snapshot');
  return snapshot;
}

t.test('listeners say how heads are made canonical and whom they trust, in canonical blocks', async (t) => {
  const { listeners } = await everything(t);
  t.match(listeners[0], { normalise: { enabled: true, merge_slashes: false, escaped_slashes: 'reject' } });
  t.same(listeners[0]?.trustedNetworks, [
    { network: '10.0.0.0/8', field: 'x-forwarded-for' },
    { network: '2001:db8::/32', field: 'x-real-ip' },
  ]);
});

t.test('listeners say how many connections a client may have, how wide it is, and who comes for many', async (t) => {
  const { listeners } = await everything(t);
  t.match(listeners[0], { maxConnectionsPerClient: 50, clientPrefix4: 24, clientPrefix6: 56 });
  t.same(listeners[0]?.exemptNetworks, ['192.0.2.0/24', '10.0.0.0/8', '2001:db8::/32']);
});

t.test('backends have labels, zones and tiers', async (t) => {
  const { backends } = await everything(t);
  t.same(
    backends.map(({ labels, zone, tier, weight }) => [labels, zone, tier, weight]),
    [
      [{ version: 'stable' }, 'eu', 0, 100],
      [{ version: 'canary' }, 'us', 1, 50],
      [{ version: 'stable' }, '', 3, 100],
      [{}, '', 0, 100],
    ],
  );
});

t.test('upstreams say how they choose', async (t) => {
  const { upstreams } = await everything(t);
  const [web, spare] = upstreams;
  t.same(web?.balance, {
    policy: 'ring-hash',
    decayMs: 10_000,
    keys: [
      { kind: 'header', name: 'x-user', prefix4: 32, prefix6: 128 },
      { kind: 'client', name: '', prefix4: 24, prefix6: 56 },
    ],
    ringPoints: 50,
    maglevSize: 65_537,
    loadBound: 0,
    sticky: {
      kind: 'cookie',
      cookie: 'stay',
      path: '/shop',
      maxAgeS: 3600,
      key: new Uint8Array(createHash('sha256').update('0123456789abcdef0123456789abcdef').digest()),
    },
  });
  t.match(spare?.balance, { policy: 'maglev', keys: [{ kind: 'path' }], maglevSize: 251, sticky: { kind: 'connection' } });
  t.same(web?.locality, { zone: 'eu', healthyShare: 0.8 });
});

t.test('upstreams say how they survive', async (t) => {
  const { upstreams } = await everything(t);
  const [web, spare] = upstreams;
  t.same(web?.breaker, {
    failures: {
      isConnectCounted: false,
      isResetCounted: false,
      isTimeoutCounted: true,
      statuses: [500, 502, 503, 504],
      grpcStatuses: [13, 14],
    },
    consecutive: 0,
    rate: 0.5,
    minRequests: 20,
    count: 7,
    windowMs: 10_000,
    ejectMs: 1000,
    maxEjectMs: 300_000,
    probes: 3,
    successes: 2,
  });
  t.match(web, {
    outlier: { isOn: true, deviations: 2.5 },
    maxEjected: 0.3,
    panicBelow: 0,
    slowStartMs: 30_000,
    bulkhead: { max: 200, queue: 50, queueTimeoutMs: 1000 },
    concurrency: { algorithm: 'aimd', initial: 10, min: 4, max: 1024, targetMs: 500, tolerance: 1.5, brownout: [0.5, 0.9, 0.95] },
    retryBudget: { ratio: 0.1, minPerSecond: 0.5, windowMs: 10_000 },
    hedgeBudget: { ratio: 0.05, minPerSecond: 1, windowMs: 10_000 },
  });
  t.match(web?.health, {
    protocol: 'h2',
    method: 'GET',
    path: '/up',
    host: '',
    port: 8080,
    body: 'fine',
    healthyAfter: 2,
    unhealthyAfter: 3,
  });
  t.same(web?.health?.statuses.length, 100);
  t.match(spare?.health, { protocol: 'http/1.1', path: '/', intervalMs: 5000, failingIntervalMs: 1000, jitter: 0.1, timeoutMs: 2000 });
});

t.test('a route says what it takes', async (t) => {
  const { routes } = await everything(t);
  t.same(routes[0]?.match, {
    host: '*.shop.test',
    path: '/orders/~user%2Fx',
    pathKind: 'prefix',
    methods: ['GET', 'POST'],
    headers: [
      { name: 'x-canary', kind: 'exact', value: '1' },
      { name: 'x-version', kind: 'regex', value: 'v[0-9]+' },
      { name: 'x-debug', kind: 'absent', value: '' },
    ],
    query: [{ name: 'q', kind: 'prefix', value: 'a' }],
    cookies: [
      { name: 'beta', kind: 'present', value: '' },
      { name: 'theme', kind: 'contains', value: 'dark' },
    ],
    certificate: [
      { name: 'verdict', kind: 'exact', value: 'verified' },
      { name: 'dns', kind: 'suffix', value: '.shop.test' },
      { name: 'fingerprint', kind: 'exact', value: `${'ab'.repeat(31)}cd` },
    ],
    networks: ['192.0.2.0/24', '::1/128'],
    tenant: -1,
  });
  t.match(routes[1]?.match, { path: '/v([0-9]+)/.*', pathKind: 'regex', tenant: 0 });
  t.same(
    routes.map(({ name }) => name),
    ['orders', '~acme:/v([0-9]+)/.*', 'globex:/', 'initech:/', 'old.test/', 'old.test/a', '=/ping'],
  );
});

t.test('a route says where it leads', async (t) => {
  const { routes } = await everything(t);
  t.same(routes[0]?.targets, [
    { upstream: 0, weight: 90, subset: { version: 'stable' } },
    { upstream: 0, weight: 10, subset: { version: 'canary' } },
  ]);
  t.match(routes[0]?.splitKeys, [
    { kind: 'cookie', name: 'session' },
    { kind: 'client', prefix4: 32, prefix6: 64 },
  ]);
  t.same(routes[0]?.fallback, {
    kind: 'fixed',
    answer: {
      status: 503,
      fields: [
        ['retry-after', '10'],
        ['content-type', 'text/plain; charset=utf-8'],
      ],
      body: 'SpÃ¤ter.',
    },
  });
  t.same(routes[2]?.fallback, { kind: 'upstream', target: { upstream: 0, weight: 100, subset: {} } });
  t.same(routes[3]?.targets, [{ upstream: 0, weight: 100, subset: { version: 'stable' } }]);
  t.same(routes[4]?.redirect, {
    status: 308,
    scheme: 'https',
    host: 'new.test',
    port: 0,
    path: { kind: 'regex', pattern: '^.*$', replacement: '/moved' },
    isQueryKept: false,
  });
  t.match(routes[5]?.redirect, {
    status: 302,
    scheme: '',
    host: '',
    path: { kind: 'prefix', prefix: '/a', replacement: '/b' },
    isQueryKept: true,
  });
  t.same(routes[6]?.fixed, { status: 200, fields: [['content-type', 'text/plain; charset=utf-8']], body: 'pong' });
  t.same(routes[6]?.targets, []);
});

t.test('a route says what is changed on the way', async (t) => {
  const { routes } = await everything(t);
  const [orders, versions, , initech] = routes;
  t.same(orders?.path, { kind: 'prefix', prefix: '/orders', replacement: '/v2' });
  t.same(versions?.path, { kind: 'regex', pattern: '^/v([0-9]+)', replacement: '/api-$1' });
  t.same(orders?.requestEdits, [
    { op: 'remove', name: 'x-internal-*', value: '' },
    { op: 'set', name: 'x-real-ip', value: '${client_address}' },
    { op: 'add', name: 'x-user', value: '${header:X-User}' },
  ]);
  t.same(orders?.responseEdits, [
    { op: 'set', name: 'x-backend', value: '${upstream}/${backend}' },
    { op: 'append', name: 'vary', value: 'accept' },
  ]);
  t.match(orders, {
    hostPolicy: 'set',
    host: 'orders.internal:8080',
    forwarded: 'both',
    forwardedTrusted: 'keep',
    via: 'edge.example.com:443',
  });
  t.match(initech, { hostPolicy: 'backend', host: '', path: { kind: 'keep' } });
});

t.test('a route says how long, how often and for whom', async (t) => {
  const { routes, tenants, store } = await everything(t);
  const [orders, versions] = routes;
  t.match(orders, {
    attemptTimeoutMs: 2000,
    exchangeTimeoutMs: 10_000,
    deadlineHeader: 'x-deadline',
    isGrpcTimeoutObeyed: true,
    priority: 'high',
  });
  t.same(orders?.retries, {
    attempts: 2,
    on: { isConnect: true, isRefused: false, isReset: false, isTimeout: true, statuses: [502, 503], grpcStatuses: [14] },
    methods: ['POST'],
    backoffBaseMs: 0,
    backoffMaxMs: 250,
    maxRetryAfterMs: 2000,
    bufferBytes: 1024,
  });
  t.match(versions?.retries, { attempts: 3, on: { isConnect: true, isRefused: true, isReset: true, isTimeout: false } });
  t.same(orders?.hedge, { delayMs: 0, percentile: 0.99, minDelayMs: 10, maxDelayMs: 300 });
  t.same(orders?.bulkhead, { max: 20, queue: 10, queueTimeoutMs: 50 });
  t.same(orders?.access, {
    allow: ['192.0.2.0/24'],
    deny: ['192.0.2.66/32'],
    certificates: [[{ name: 'uri', kind: 'prefix', value: 'spiffe://shop.test/' }]],
    deniedCertificates: [[{ name: 'serial', kind: 'exact', value: '0A1B' }]],
  });
  t.match(orders?.rateLimits, [
    { name: 'each', requests: 10, periodMs: 1000, burst: 20, isShared: false, maxKeys: 65_536 },
    { name: 'orders#2', keys: [{ kind: 'header' }, { kind: 'route' }], burst: 100, isShared: true, onStoreFailure: 'refuse', maxKeys: 10 },
  ]);
  t.match(tenants, [
    {
      name: 'acme',
      hosts: ['*.acme.test'],
      header: '',
      pathPrefix: '',
      maxInFlight: 100,
      rateLimits: [{ name: 'tenant:acme', requests: 1000 }],
    },
    { name: 'globex', hosts: [], header: 'x-tenant', headerValue: 'globex', rateLimits: [{ periodMs: 60_000, isShared: true }] },
    { name: 'initech', pathPrefix: '/initech', maxInFlight: 0 },
  ]);
  t.same(store, { kind: 'redis', url: 'redis://user:secret@127.0.0.1:6379/2', prefix: 'edge:', timeoutMs: 20 });
});

t.test('a snapshot of everything can be posted', async (t) => {
  const snapshot = await everything(t);
  t.same(structuredClone(snapshot), snapshot);
});

t.test('what is shown of everything can be loaded again and means the same, secrets apart', async (t) => {
  const { config, snapshot } = await load(t, EVERYTHING);
  if (config === undefined) throw new Error('no configuration');
  const shown = redact(config);
  const text = JSON.stringify(shown);
  t.notMatch(text, /secret|0123456789abcdef/);
  const parts = shown as {
    listeners: [{ certificates: [{ key: string }] }];
    store: { url: string };
    upstreams: { web: { balance: { sticky: { key: string } } } };
  };
  parts.listeners[0].certificates[0].key = 'certs/dev.key';
  parts.store.url = 'redis://user:secret@127.0.0.1:6379/2';
  parts.upstreams.web.balance.sticky.key = '0123456789abcdef0123456789abcdef';
  const again = await load(t, JSON.stringify(shown));
  t.same(
    again.problems.filter(({ severity }) => severity === 'error'),
    [],
  );
  t.equal(again.snapshot?.generation, snapshot?.generation);
});
