import { appendFileSync, chmodSync, writeFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import t from 'tap';
import { loadConfig, loadSnapshot } from '../../src/config/load.ts';
import { prepareSnapshot } from '../../src/config/prepare.ts';
import type { Snapshot } from '../../src/config/snapshot/snapshot.ts';
import { load, PLAIN, plainWith, problemsOf, writeConfiguration } from './support/configuration.ts';

async function snapshotOf(t: import('tap').Test, text: string): Promise<Snapshot> {
  const { snapshot, problems } = await load(t, text);
  t.same(problems, []);
  if (snapshot === undefined) throw new Error('no snapshot');
  return snapshot;
}

t.test('the plain configuration becomes a snapshot with every default filled in', async (t) => {
  const { listeners, upstreams, backends, routes, ...rest } = await snapshotOf(t, PLAIN);
  const { certificates, ...listener } = listeners[0] ?? {};
  t.equal(certificates?.length, 1);
  t.same(listener, {
    name: 'public',
    address: '127.0.0.1:8443',
    unknownName: 'default',
    isStrict: false,
    groups: ['X25519MLKEM768', 'X25519', 'P-256', 'P-384'],
    ticketRotationMs: 12 * 3_600_000,
    ticketKeys: [],
    ticketKeysFile: '',
    clientAuth: [
      {
        names: [],
        mode: 'off',
        caPem: '',
        tellsAuthorities: true,
        maxDepth: 3,
        maxBytes: 16_384,
        forward: [],
        lists: [],
        acceptsExpiredLists: false,
        acceptsMissingLists: false,
        denied: [],
        allowed: [],
        keepsConnections: false,
        source: listeners[0]?.clientAuth[0]?.source,
      },
    ],
    maxConnections: 100_000,
    maxConnectionsPerClient: 0,
    clientPrefix4: 32,
    clientPrefix6: 64,
    exemptNetworks: [],
    quic: {
      idle_timeout: 30_000,
      keep_alive: 10_000,
      handshake_timeout: 10_000,
      congestion: 'bbr',
      max_streams: 128,
      stream_window: 2_097_152,
      connection_window: 8_388_608,
      max_udp_payload: 1452,
      gso: true,
      gro: true,
      pacing: true,
      receive_buffer: 4_194_304,
      send_buffer: 4_194_304,
    },
    http: { max_head: 16_384, min_rate: 100, min_rate_period: 60_000, max_fields: 100, max_cookie_crumbs: 512 },
    normalise: { enabled: true, merge_slashes: true, escaped_slashes: 'keep' },
    trustedNetworks: [],
  });
  t.same(upstreams, [
    {
      name: 'web',
      balance: {
        policy: 'peak-ewma',
        decayMs: 10_000,
        keys: [],
        ringPoints: 100,
        maglevSize: 65_537,
        loadBound: 1.25,
        sticky: undefined,
      },
      slots: [0, 1],
      breaker: {
        failures: { isConnectCounted: true, isResetCounted: true, isTimeoutCounted: true, statuses: [502, 503, 504], grpcStatuses: [14] },
        consecutive: 5,
        rate: 0,
        minRequests: 20,
        count: 0,
        windowMs: 10_000,
        ejectMs: 5_000,
        maxEjectMs: 300_000,
        probes: 1,
        successes: 2,
      },
      outlier: { isOn: false, intervalMs: 10_000, minBackends: 5, minRequests: 100, deviations: 1.9 },
      maxEjected: 0.5,
      panicBelow: 0.5,
      slowStartMs: 0,
      health: undefined,
      bulkhead: { max: 0, queue: 0, queueTimeoutMs: 1_000 },
      concurrency: undefined,
      overload: { isGuarded: true, targetMs: 100, queue: 10_000, maxWaitMs: 5_000, standingWaitMs: 200 },
      retryBudget: { ratio: 0.2, minPerSecond: 10, windowMs: 10_000 },
      hedgeBudget: { ratio: 0.05, minPerSecond: 1, windowMs: 10_000 },
      locality: { zone: '', healthyShare: 0.7 },
    },
  ]);
  t.same(backends[1], {
    slot: 1,
    upstream: 'web',
    url: 'h2c://127.0.0.1:9001',
    scheme: 'h2c',
    host: '127.0.0.1',
    port: 9001,
    weight: 100,
    labels: {},
    zone: '',
    tier: 0,
    serverName: '127.0.0.1',
    isVerified: true,
    caPem: '',
    clientCertificate: undefined,
    minTlsVersion: '1.2',
    maxTlsVersion: '1.3',
    pins: [],
    maxSessions: 64,
    maxStreamsPerSession: 128,
    maxBound: 4,
    boundIdleMs: 1000,
    sessionIdleTimeoutMs: 60_000,
    sessionMaxAgeMs: 3_600_000,
    pingIntervalMs: 15_000,
    pingTimeoutMs: 5000,
    streamWindowBytes: 2_097_152,
    sessionWindowBytes: 8_388_608,
    maxHeadBytes: 32_768,
    maxFields: 200,
    resolveIntervalMs: 0,
  });
  t.same(routes, [
    {
      name: '/',
      match: {
        host: '*',
        path: '/',
        pathKind: 'prefix',
        methods: [],
        headers: [],
        query: [],
        cookies: [],
        certificate: [],
        networks: [],
        tenant: -1,
      },
      targets: [{ upstream: 0, weight: 100, subset: {} }],
      redirect: undefined,
      fixed: undefined,
      splitKeys: [],
      fallback: { kind: 'none' },
      fallbackOn: { statuses: [], grpcStatuses: [] },
      connectTimeoutMs: 3000,
      placeTimeoutMs: 3000,
      headTimeoutMs: 30_000,
      idleTimeoutMs: 60_000,
      exchangeTimeoutMs: 0,
      attemptTimeoutMs: 0,
      deadlineHeader: '',
      isGrpcTimeoutObeyed: false,
      maxBodyBytes: -1,
      retries: {
        attempts: 1,
        on: { isConnect: true, isRefused: true, isReset: true, isTimeout: false, statuses: [], grpcStatuses: [] },
        methods: [],
        backoffBaseMs: 25,
        backoffMaxMs: 250,
        maxRetryAfterMs: 0,
        bufferBytes: 16_384,
      },
      hedge: undefined,
      rateLimits: [],
      access: { allow: [], deny: [], certificates: [], deniedCertificates: [] },
      bulkhead: { max: 0, queue: 0, queueTimeoutMs: 1_000 },
      priority: 'normal',
      path: { kind: 'keep' },
      requestEdits: [],
      responseEdits: [],
      isRequestIdKept: false,
      forwarded: 'x-forwarded',
      forwardedTrusted: 'append',
      hostPolicy: 'keep',
      isPathCanonical: false,
      host: '',
      via: '',
    },
  ]);
  t.same(rest.tenants, []);
  t.equal(rest.store, undefined);
  t.ok(rest.shards.count >= 1);
  t.equal(rest.shards.stallTimeoutMs, 5000);
  t.same(rest.admin, { address: '127.0.0.1:9901', token: '', maxConnections: 256, probesAddress: '' });
  t.same(rest.log, { level: 'info', isAccessLogged: true, accessSample: 1, areCertificatesLogged: false, areFailuresAlwaysLogged: true });
  t.same(rest.drain, { timeoutMs: 30_000, delayMs: 0 });
  const { maxHeldBytes, ...limits } = rest.limits;
  t.same(limits, { maxExchanges: 65_536, statelessReplies: 1000 });
  t.ok(maxHeldBytes > 2 ** 20 && maxHeldBytes <= totalmem() / 4, 'a quarter of the memory there is, at most');
});

t.test('a snapshot is frozen all the way down and can be posted', async (t) => {
  const snapshot = await snapshotOf(t, PLAIN);
  const visit = (value: unknown): void => {
    // Views of memory cannot be frozen.
    if (value === null || typeof value !== 'object' || ArrayBuffer.isView(value)) return;
    if (!Object.isFrozen(value)) t.fail('a part can be changed');
    for (const part of Object.values(value)) visit(part);
  };
  visit(snapshot);
  t.same(structuredClone(snapshot), snapshot);
});

t.test('URLs give scheme, host, port and server name', async (t) => {
  const text = plainWith(
    '[{ url: "h2c://127.0.0.1:9000", weight: 100 }, { url: "h2c://127.0.0.1:9001" }]',
    '[{ url: "https://Web.Example.org" }, { url: "https://[::1]:8443/", server_name: a.test, weight: 0 }, { url: "http://bücher.example" }]',
  );
  const { backends } = await snapshotOf(t, text);
  t.same(
    backends.map(({ url, scheme, host, port, serverName, weight, resolveIntervalMs }) => [
      url,
      scheme,
      host,
      port,
      serverName,
      weight,
      resolveIntervalMs,
    ]),
    [
      ['https://web.example.org:443', 'https', 'web.example.org', 443, 'web.example.org', 100, 10_000],
      ['https://[::1]:8443', 'https', '::1', 8443, 'a.test', 0, 0],
      ['http://xn--bcher-kva.example:80', 'http', 'xn--bcher-kva.example', 80, 'xn--bcher-kva.example', 100, 10_000],
    ],
  );
});

t.test('URLs with paths, users, other schemes or broken hosts are refused', async (t) => {
  for (const url of [
    'ftp://a',
    'h2c://',
    'h2c://a/b',
    'h2c://u@a',
    'h2c://a:0',
    'h2c://a:99999',
    'h2c://a b',
    'h2c://1.2.3',
    'h2c://[::g]',
    'h2c://-a',
    'a:80',
  ]) {
    t.match((await problemsOf(t, plainWith('h2c://127.0.0.1:9001', url)))[0], /backends\[1\]\.url: .* is not acceptable/, url);
  }
});

t.test('hosts of routes are normal: lower case, ASCII, without the last dot', async (t) => {
  const text = `${PLAIN}  - { match: { host: "*.BÜCHER.example." }, upstream: web }\n  - { match: { host: "[::1]", path: /x, exact: true }, upstream: web }\n`;
  const { routes } = await snapshotOf(t, text);
  t.same(
    routes.map(({ name, match }) => [name, match.host, match.pathKind]),
    [
      ['/', '*', 'prefix'],
      ['*.xn--bcher-kva.example/', '*.xn--bcher-kva.example', 'prefix'],
      ['=[::1]/x', '[::1]', 'exact'],
    ],
  );
});

t.test('hosts with ports and paths with queries are refused', async (t) => {
  const match = (text: string): Promise<string[]> => problemsOf(t, plainWith('{ path: / }', text));
  t.match((await match('{ host: "a.test:80" }'))[0], /match\.host: .* is not acceptable; expected \*, a host name without port/);
  for (const path of ['/a?b', '/a#b', 'a', '/ü', '/%zz', '/a b'])
    t.match((await match(`{ path: "${path}" }`))[0], /match\.path: .* is not acceptable/, path);
});

t.test('no limit is written as none', async (t) => {
  const text = plainWith('upstream: web }', 'upstream: web, max_body: none, timeouts: { exchange: none } }');
  const { routes } = await snapshotOf(t, text);
  t.equal(routes[0]?.maxBodyBytes, -1);
  t.equal(routes[0]?.exchangeTimeoutMs, 0);
  const limited = await snapshotOf(t, plainWith('upstream: web }', 'upstream: web, max_body: 0, timeouts: { exchange: 0 } }'));
  t.equal(limited.routes[0]?.maxBodyBytes, 0);
  t.equal(limited.routes[0]?.exchangeTimeoutMs, 0);
});

t.test('the token can come from a file', async (t) => {
  const file = writeConfiguration(t, plainWith('{ address: 127.0.0.1:9901 }', '{ address: 0.0.0.0:9901, token_file: token }'));
  writeFileSync(join(dirname(file), 'token'), '0123456789abcdef\n');
  const { snapshot, problems } = await loadSnapshot(file);
  t.equal(snapshot?.admin.token, '0123456789abcdef');
  t.match(problems, [{ severity: 'warning', path: ['admin', 'token_file'], message: 'the file can be read by every user of the machine' }]);
  chmodSync(join(dirname(file), 'token'), 0o600);
  t.same((await loadSnapshot(file)).problems, []);
  writeFileSync(join(dirname(file), 'token'), 'short');
  t.match((await loadSnapshot(file)).problems[0]?.message, /holds no usable token/);
});

t.test('the generation depends on what is meant, not on how it is written', async (t) => {
  const { generation } = await snapshotOf(t, PLAIN);
  const folder = t.testdirName;
  t.match(generation, /^[0-9a-f]{64}$/);
  t.equal(
    (await snapshotOf(t, `# a comment\n${plainWith('weight: 100', 'weight: 100')}drain: { timeout: 30000ms }\n`)).generation,
    generation,
  );
  t.equal(t.testdirName, folder);
  t.not((await snapshotOf(t, plainWith('weight: 100', 'weight: 99'))).generation, generation);
});

t.test('the generation changes with a file it points at', async (t) => {
  const file = writeConfiguration(t, PLAIN);
  const before = (await loadSnapshot(file)).snapshot?.generation;
  appendFileSync(join(dirname(file), 'certs/dev.pem'), '\n');
  const after = (await loadSnapshot(file)).snapshot?.generation;
  t.ok(before);
  t.not(after, before);
});

t.test('a configuration can be loaded first and prepared later', async (t) => {
  const { config, baseDir, locate, problems } = await loadConfig(writeConfiguration(t, plainWith('upstream: web', 'upstream: nobody')));
  t.same(problems, []);
  if (config === undefined) throw new Error('no configuration');
  const prepared = await prepareSnapshot(config, baseDir, locate);
  t.equal(prepared.snapshot, undefined);
  t.equal(prepared.problems.find(({ severity }) => severity === 'error')?.place.line, 12);
  const unplaced = await prepareSnapshot(config, baseDir);
  t.equal(unplaced.problems[0]?.place.source, 'configuration');
});
