import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { ADMIN_ERRORS } from '../../src/base/errors.ts';
import type { Snapshot } from '../../src/config/snapshot/snapshot.ts';
import type { AdminParts } from '../../src/control/admin/parts.ts';
import { noCounts } from '../../src/control/admin/places.ts';
import { createAdmin, createProbes } from '../../src/control/admin/server.ts';
import type { EdgeState, EdgeStatus } from '../../src/control/edge/status.ts';
import { createEvents } from '../../src/control/events.ts';
import { viewConnections } from '../../src/control/view/shards.ts';
import { createLog } from '../../src/observe/log.ts';
import { until } from '../support/wait.ts';

interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly text: string;
}

/** A row as the reactor gives it. */
const connectionRow = {
  listener: 0,
  peer: '192.0.2.1:50000',
  age_seconds: 1.5,
  rtt_seconds: 0.00025,
  exchanges: 1,
  packets_received: 10,
  packets_sent: 20,
  packets_lost: 0,
  bytes_received: 1_000,
  bytes_sent: 2_000,
  is_established: true,
  is_draining: false,
  client_connections: 2,
  client_certificate: { verdict: 'verified' as const, fingerprint: 'ab'.repeat(32), serial: '0A', subject: 'CN=a' },
};

/**
 * An admin API over made-up parts, on a free port; `ask` speaks plain HTTP so that Host is ours to
 * choose.
 */
async function admin(
  t: Test,
  options: { token?: string; address?: string; state?: EdgeState; shards?: EdgeStatus['shards'] } = {},
  changes: Partial<AdminParts> = {},
) {
  const lines: string[] = [];
  const log = createLog({ level: 'info', isText: false, stream: { write: (line) => void lines.push(line) } });
  const parts: AdminParts = {
    status: () => ({
      state: options.state ?? 'serving',
      version: '1',
      pid: 1,
      uptimeMs: 1,
      generation: 'abc',
      reload: null,
      listeners: [],
      adminAddress: '',
      probesAddress: '',
      exchanges: 0,
      connections: 0,
      shards: options.shards ?? [],
    }),
    upstreams: async () => [
      { name: 'web', policy: 'peak-ewma', inFlight: 0, admitted: 0, ejected: 0, isPanicking: false, trust: null, backends: [] },
    ],
    metrics: async () => ({ text: 'lychgate_up 1\n', contentType: 'text/plain; version=0.0.4; charset=utf-8' }),
    connections: async (limit) => viewConnections([{ shard: 0, rows: [{ ...connectionRow, connection: limit }] }], ['public']),
    config: () => ({ admin: { token: '[redacted]' } }),
    events: createEvents(() => ({ upstreams: [], backends: [] }) as unknown as Snapshot, log.target('events')),
    weights: { view: () => ({ backends: [], routes: [] }), change: () => undefined },
    limits: () => ({ places: [], guards: [], rateLimits: [], storeLostShards: 0 }),
    certificates: { view: () => [], reload: async () => ({ result: 'unchanged', changed: 0, unchanged: 1, refused: [] }) },
    log,
    reload: undefined,
    hurt: undefined,
    ...changes,
  };
  const counts = noCounts();
  const server = createAdmin(parts, { address: options.address ?? '127.0.0.1:0', token: options.token ?? '', maxConnections: 256, counts });
  const address = await server.start();
  t.teardown(() => server.stop());
  const [host, port] = [address.slice(0, address.lastIndexOf(':')), address.slice(address.lastIndexOf(':') + 1)];

  /** A connection on which `bytes` were sent and nothing after them. */
  const send = async (bytes: string): Promise<Socket> => {
    const socket = connect(Number(port), host);
    t.teardown(() => socket.destroy());
    socket.on('error', () => {});
    socket.resume();
    await new Promise((resolve) => socket.once('connect', resolve));
    socket.write(bytes);
    return socket;
  };

  const ask = (path: string, init: { method?: string; headers?: Record<string, string>; body?: string } = {}): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const sent = request({ host, port, path, method: init.method ?? 'GET', headers: init.headers ?? {} }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
      });
      sent.on('error', reject).end(init.body);
    });
  return { ask, send, counts, log, lines };
}

const json = { 'content-type': 'application/json' };

t.test('readiness is true only while the edge serves, liveness always', async (t) => {
  for (const state of ['starting', 'serving', 'draining', 'stopping'] as const) {
    const { ask } = await admin(t, { state });
    t.equal((await ask('/readyz')).status, state === 'serving' ? 200 : 503, state);
    t.equal((await ask('/healthz')).status, 200);
  }
});

t.test('the edge is not ready while a shard has no worker', async (t) => {
  const shard = { threadId: 1, sinceMs: 1, restarts: 1, exchanges: 0, connections: 0 };
  const { ask } = await admin(t, {
    shards: [
      { ...shard, shard: 0, state: 'ready' },
      { ...shard, shard: 1, state: 'waiting' },
    ],
  });
  const { status, text } = await ask('/readyz');
  t.equal(status, 503);
  t.same(JSON.parse(text), { status: 'shard_not_ready', shards: [1] });
});

t.test('half-sent requests keep nobody out: the one that has been quiet longest makes room', async (t) => {
  const { ask, send, counts } = await admin(t);
  const sockets = await Promise.all(Array.from({ length: 300 }, () => send('GET /readyz HTTP/1.1\r\nhost: localhost\r\n')));
  for (const path of ['/readyz', '/healthz', '/v1/status']) t.equal((await ask(path)).status, 200, path);
  t.equal(counts.open <= 256, true, `${counts.open} are open`);
  t.ok(counts.quiet >= 44, `${counts.quiet} were closed`);
  t.equal(counts.busy, 0);
  await until('those that were closed know', () => sockets.filter(({ destroyed }) => destroyed).length === counts.quiet || null);
});

t.test('requests that are under way leave places to the probes and to nobody else', async (t) => {
  const { ask, send, counts } = await admin(t);
  const half = 'PUT /v1/log/level HTTP/1.1\r\nhost: localhost\r\ncontent-length: 20\r\n\r\n{';
  const sockets = await Promise.all(Array.from({ length: 224 }, () => send(half)));
  await until('all are under way', async () => (await ask('/v1/status')).status === 503);
  sockets.push(...(await Promise.all(Array.from({ length: 76 }, () => send(half)))));
  for (const path of ['/readyz', '/healthz']) t.equal((await ask(path)).status, 200, path);
  const refused = await ask('/v1/status');
  t.match(refused, { status: 503, headers: { connection: 'close' } });
  t.match(JSON.parse(refused.text), { error: 'admin_busy', status: 503 });
  for (const socket of sockets) socket.destroy();
  await until('all have left', () => counts.open === 0 || null);
  t.equal((await ask('/v1/status')).status, 200);
});

t.test('a connection that asks again and again has one place, and idles without one', async (t) => {
  const { ask, send, counts } = await admin(t);
  const asked = 'GET /v1/status HTTP/1.1\r\nhost: localhost\r\n\r\n';
  const sockets = await Promise.all(Array.from({ length: 256 }, () => send(asked.repeat(3))));
  await until('none is under way', async () => ((await ask('/v1/status')).status === 200 && counts.open > 200) || null);
  t.ok(
    sockets.some(({ destroyed }) => !destroyed),
    'they are kept alive',
  );
  t.equal((await ask('/v1/status')).status, 200, 'and make room all the same');
});

t.test('the probes by themselves answer on any address without a token, and nothing else', async (t) => {
  const status = () => ({ state: 'serving', shards: [] }) as unknown as EdgeStatus;
  const log = createLog({ level: 'silent', isText: false, stream: { write() {} } });
  const probes = createProbes({ status, log }, { address: '0.0.0.0:0', maxConnections: 16, counts: noCounts() });
  const address = (await probes.start()).replace('0.0.0.0', '127.0.0.1');
  t.teardown(() => probes.stop());
  const statusOf = async (path: string) => (await fetch(`http://${address}${path}`)).status;
  t.strictSame(await Promise.all(['/readyz', '/healthz?x=1', '/metrics', '/v1/status'].map(statusOf)), [200, 200, 404, 404]);
  const named = await new Promise((resolve) =>
    request(`http://${address}/readyz`, { headers: { host: '10.1.2.3:9902' } }, ({ statusCode }) => resolve(statusCode)).end(),
  );
  t.equal(named, 200, 'a kubelet names the address of the pod');
});

t.test('with a token every route but the health checks asks for it', async (t) => {
  const { ask } = await admin(t, { token: 'open sesame'.replace(' ', '-') });
  for (const path of ['/metrics', '/v1/status', '/v1/upstreams', '/v1/connections', '/v1/config', '/v1/log/level', '/nothing']) {
    const answer = await ask(path);
    t.equal(answer.status, 401, path);
    t.equal(answer.headers['www-authenticate'], 'Bearer');
  }
  t.equal((await ask('/metrics', { headers: { authorization: 'Bearer open' } })).status, 401);
  t.equal((await ask('/metrics', { headers: { authorization: 'Bearer open-sesame' } })).status, 200);
  t.equal((await ask('/metrics', { headers: { authorization: 'bearer open-sesame' } })).status, 200);
  t.equal((await ask('/healthz')).status, 200);
  t.equal((await ask('/readyz')).status, 200);
});

t.test('an address others can reach is refused without a token', async (t) => {
  const start = (address: string) => admin(t, { address });
  for (const address of ['0.0.0.0:0', '[::]:0', '192.0.2.1:0'])
    await t.rejects(start(address), { code: 'admin_failed', message: /needs a token/ });
  await t.rejects(start('nonsense'), { code: 'admin_failed', message: /is not ip:port/ });
});

t.test('on loopback a Host that names something else is refused, against DNS rebinding', async (t) => {
  const { ask } = await admin(t);
  for (const host of ['evil.test', 'evil.test:9901', '127.0.0.1.evil.test']) {
    t.equal((await ask('/v1/status', { headers: { host } })).status, 421, host);
  }
  for (const host of ['localhost', 'localhost:1', '127.0.0.1:9901', '[::1]:9901']) {
    t.equal((await ask('/v1/status', { headers: { host } })).status, 200, host);
  }
});

t.test('every answer forbids storing, sniffing and framing', async (t) => {
  const { ask } = await admin(t);
  for (const path of ['/healthz', '/nothing']) {
    const { headers } = await ask(path);
    t.match(headers, {
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'content-security-policy': /frame-ancestors 'none'/,
    });
    t.equal(headers['x-powered-by'], undefined);
  }
});

t.test('a failure inside gives a code and neither message nor stack', async (t) => {
  const { ask, lines } = await admin(
    t,
    {},
    {
      upstreams: () => {
        throw new Error('secret path /home');
      },
    },
  );
  const { status, text } = await ask('/v1/upstreams');
  t.equal(status, 500);
  t.same(JSON.parse(text), { error: 'internal', status: 500 });
  t.match(lines.join(''), 'secret path', 'it is in the log');
});

t.test('the log level is shown and changed at run time, for every target', async (t) => {
  const { ask, log } = await admin(t);
  const early = log.target('early');
  t.same(JSON.parse((await ask('/v1/log/level')).text), { level: 'info' });
  t.equal((await ask('/v1/log/level', { method: 'PUT', headers: json, body: '{"level":"debug"}' })).status, 200);
  t.equal(early.level, 'debug');
  t.equal(log.target('late').level, 'debug');
  t.equal((await ask('/v1/log/level', { method: 'PUT', headers: json, body: '{"level":"loud"}' })).status, 400);
  t.equal(early.level, 'debug');
});

t.test('a change needs no content type, but what a form of another page could send is refused', async (t) => {
  const { ask, log } = await admin(t, {}, { hurt: () => true });
  for (const [level, headers] of [
    ['warn', { 'content-type': 'application/x-www-form-urlencoded' }],
    ['error', { 'content-type': 'text/plain' }],
    ['debug', {}],
  ] as const) {
    t.equal((await ask('/v1/log/level', { method: 'PUT', headers, body: `{"level":"${level}"}` })).status, 200, level);
    t.equal(log.level(), level);
  }
  for (const type of ['application/x-www-form-urlencoded', 'text/plain', 'multipart/form-data; boundary=x']) {
    const answer = await ask('/v1/test/fault', { method: 'POST', headers: { 'content-type': type }, body: '{"fault":"throw"}' });
    t.equal(answer.status, 415, type);
    t.match(JSON.parse(answer.text), { error: 'media_type_not_supported', status: 415 });
  }
});

t.test('every refusal has a code of the registry, and says which value and what is expected', async (t) => {
  const { ask } = await admin(t, {}, { hurt: () => false });
  const put = (path: string, body: string) => ask(path, { method: 'PUT', body });
  const range = 'a whole number from 0 to 10000';
  for (const [answer, error, detail] of [
    [
      put('/v1/weights', '{"upstream":"web","backend":"x","weight":-1}'),
      'value_not_valid',
      `weight: -1 lies outside the range; expected ${range}`,
    ],
    [
      put('/v1/weights', '{"upstream":"web","backend":"x","weight":"many"}'),
      'value_not_valid',
      `weight: "many" is not acceptable; expected ${range}`,
    ],
    [
      put('/v1/weights', '{"route":"web","weights":[1,10001]}'),
      'value_not_valid',
      `weights.1: 10001 lies outside the range; expected ${range}`,
    ],
    [
      put('/v1/weights', '{"route":"web","weights":[]}'),
      'value_not_valid',
      'weights: a list is not acceptable; expected a list of 1 to 64 entries',
    ],
    [
      put('/v1/weights', '{"route":"web","weight":1}'),
      'value_not_valid',
      'body: has route, weight; expected either upstream, backend, weight, or route, weights',
    ],
    [
      put('/v1/weights', '{"rout":"web","weights":[1,2]}'),
      'value_not_valid',
      'body: has rout, weights; expected either upstream, backend, weight, or route, weights',
    ],
    [
      put('/v1/log/level', '{"level":"loud"}'),
      'value_not_valid',
      'level: "loud" is not acceptable; expected one of trace, debug, info, warn, error, fatal, silent',
    ],
    [put('/v1/log/level', '{}'), 'value_not_valid', 'body: level is missing; expected level'],
    [put('/v1/log/level', '{"level":"info","to":1}'), 'value_not_valid', 'body: to is not a key here; expected level'],
    [put('/v1/log/level', 'level=debug'), 'body_not_json', '"level=debug" is no JSON'],
    [put('/v1/log/level', `{"level":"${'x'.repeat(5_000)}"}`), 'body_too_large', undefined],
    [ask('/v1/connections?limit=0'), 'value_not_valid', 'limit: 0 lies outside the range; expected a whole number from 1 to 10000'],
    [ask('/v1/nothing'), 'not_found', 'there is no GET "/v1/nothing"'],
    [ask('/v1/%zz'), 'request_not_readable', undefined],
    [ask('/v1/test/fault', { method: 'POST', headers: json, body: '{"fault":"throw"}' }), 'shard_not_ready', undefined],
    [ask('/v1/status', { headers: { host: 'evil.test' } }), 'host_not_allowed', undefined],
    [ask('/v1/status', { headers: { large: 'x'.repeat(20_000) } }), 'head_too_large', undefined],
  ] as const) {
    const { status, text } = await answer;
    const row = ADMIN_ERRORS.find(({ code }) => code === error);
    t.strictSame(JSON.parse(text), { error, status: row?.status, ...(detail === undefined ? {} : { detail }) }, detail ?? error);
    t.equal(status, row?.status);
  }
});

t.test('connections take a limit within bounds', async (t) => {
  const { ask } = await admin(t);
  t.match(JSON.parse((await ask('/v1/connections')).text), {
    total: 0,
    limit: 100,
    connections: [
      {
        connection: 100,
        listener: 'public',
        state: 'open',
        rttMs: 0.25,
        clientConnections: 2,
        clientCertificate: { verdict: 'verified', subject: 'CN=a' },
      },
    ],
  });
  t.match(JSON.parse((await ask('/v1/connections?limit=7')).text), { limit: 7 });
  for (const query of ['limit=0', 'limit=10001', 'limit=x', 'other=1']) t.equal((await ask(`/v1/connections?${query}`)).status, 400, query);
});

t.test('metrics, configuration and upstreams are shown', async (t) => {
  const { ask } = await admin(t);
  const metrics = await ask('/metrics');
  t.match(metrics.headers['content-type'], /^text\/plain; version=0\.0\.4/);
  t.equal(metrics.text, 'lychgate_up 1\n');
  t.same(JSON.parse((await ask('/v1/config')).text), { generation: 'abc', config: { admin: { token: '[redacted]' } } });
  t.match(JSON.parse((await ask('/v1/upstreams')).text), { upstreams: [{ name: 'web' }] });
  t.same(JSON.parse((await ask('/v1/limits')).text), { places: [], guards: [], rateLimits: [], storeLostShards: 0 });
});

t.test('the route that hurts workers exists only where it was asked for', async (t) => {
  const fault = { method: 'POST', headers: json, body: '{"fault":"throw","shard":1}' };
  t.equal((await (await admin(t)).ask('/v1/test/fault', fault)).status, 404);
  const orders: unknown[] = [];
  const { ask } = await admin(t, {}, { hurt: (...order) => orders.push(order) > 0 });
  t.equal((await ask('/v1/test/fault', fault)).status, 200);
  t.same(orders, [[1, 'throw', 'now']]);
});
