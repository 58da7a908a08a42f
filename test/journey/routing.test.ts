/**
 * Routes as a client meets them: who takes a request by what, what the backend and the client see
 * changed, and what is answered without a backend.
 */

import t from 'tap';
import { connectH3, type H3Client } from '../support/client/h3.ts';
import { type EdgeOptions, missingAddon, startEdge } from '../support/edge.ts';
import { answers, tellsFields } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

type Route = Readonly<Record<string, unknown>>;

/** An edge whose routes lead to one origin that tells what it was sent. */
async function tellingEdge(t: Parameters<typeof startEdge>[0], routes: readonly Route[], more: Partial<EdgeOptions> = {}) {
  const origin = await startH2Origin(t, tellsFields);
  const edge = await startEdge(t, { backends: [origin.url], ...more, config: { routes, ...more.config } });
  const client = await connectH3(t, edge.port);
  const sees = async (request: Parameters<H3Client['exchange']>[0]) => JSON.parse((await client.exchange(request)).text);
  return { edge, client, origin, sees };
}

t.test('a request is taken by method, header, query, cookie and network', { skip: missingAddon }, async (t) => {
  const mark = (name: string, match: Route): Route => ({
    name,
    match,
    upstream: 'web',
    request_headers: { set: { 'x-route': `\${route}` } },
  });
  const { sees } = await tellingEdge(t, [
    mark('rest', {}),
    mark('writes', { methods: ['POST', 'PUT'] }),
    mark('canary', { headers: { 'x-canary': { prefix: 'y' } } }),
    mark('version', { query: { v: '2 b' } }),
    mark('beta', { cookies: { beta: '1' } }),
    mark('local', { path: '/local', networks: ['127.0.0.0/8'] }),
    mark('remote', { path: '/remote', networks: ['192.0.2.0/24'] }),
    mark('pattern', { path_regex: '/v[0-9]+/.*' }),
  ]);
  const routeOf = async (request: Parameters<H3Client['exchange']>[0]) => (await sees(request))['x-route'];
  t.equal(await routeOf({}), 'rest');
  t.equal(await routeOf({ body: 'x' }), 'writes');
  t.equal(await routeOf({ headers: { 'x-canary': 'yes' } }), 'canary');
  t.equal(await routeOf({ path: '/?v=1&v=2%20b' }), 'version');
  t.equal(await routeOf({ headers: { cookie: 'a=b; beta=1' } }), 'beta');
  t.equal(await routeOf({ path: '/local/x' }), 'local');
  t.equal(await routeOf({ path: '/remote/x' }), 'rest');
  t.equal(await routeOf({ path: '/%76%31/./x' }), 'pattern', 'of the canonical path');
});

t.test('paths are edited on the way, and the query stays', { skip: missingAddon }, async (t) => {
  const { sees } = await tellingEdge(t, [
    { match: { path: '/strip' }, upstream: 'web', rewrite: { strip_prefix: '/strip' } },
    { match: { path: '/old' }, upstream: 'web', rewrite: { replace_prefix: '/new' } },
    { match: { path: '/users' }, upstream: 'web', rewrite: { regex: '^/users/([0-9]+)$', replacement: '/people/$1/card' } },
  ]);
  const pathOf = async (path: string) => (await sees({ path }))[':path'];
  t.equal(await pathOf('/strip/a?b=/strip'), '/a?b=/strip');
  t.equal(await pathOf('/strip'), '/');
  t.equal(await pathOf('/old/a'), '/new/a');
  t.equal(await pathOf('/users/42?x'), '/people/42/card?x');
  t.equal(await pathOf('/users/me?x'), '/users/me?x', 'where the pattern is not found');
});

t.test('fields are removed, set, added and appended in both directions', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, (stream, headers) => {
    stream.respond({ ':status': 200, 'x-internal-host': 'db1', server: 'secret', 'x-seen': JSON.stringify(headers) });
    stream.end();
  });
  const route = {
    name: 'shop',
    request_headers: {
      remove: ['x-internal-*'],
      set: { 'x-who': `\${client_address} \${method} \${path}`, 'x-empty': `\${header:x-none}` },
      append: { via: 'edge' },
    },
    response_headers: { remove: ['x-internal-*', 'server'], set: { 'x-route': `\${route}/\${upstream}` } },
  };
  const edge = await startEdge(t, { backends: [origin.url], route });
  const client = await connectH3(t, edge.port);
  const { headers } = await client.exchange({
    path: '/a?b',
    headers: { 'x-internal-user': 'root', 'x-who': 'me', 'x-empty': '1', via: 'phone' },
  });
  const seen = JSON.parse(String(headers['x-seen']));
  t.equal(seen['x-who'], '127.0.0.1 GET /a?b');
  t.equal(seen['via'], 'phone, edge');
  t.notOk('x-internal-user' in seen || 'x-empty' in seen);
  t.equal(headers['x-route'], 'shop/web');
  t.notOk('x-internal-host' in headers || 'server' in headers);
});

t.test('the host is kept, set, or the backend’s own', { skip: missingAddon }, async (t) => {
  const { sees, edge, origin } = await tellingEdge(t, [
    { match: { path: '/keep' }, upstream: 'web' },
    { match: { path: '/set' }, upstream: 'web', host: 'inner.test:81' },
    { match: { path: '/own' }, upstream: 'web', host: 'backend' },
  ]);
  const hostOf = async (path: string) => (await sees({ path }))[':authority'];
  t.equal(await hostOf('/keep'), `localhost:${edge.port}`);
  t.equal(await hostOf('/set'), 'inner.test:81');
  t.equal(await hostOf('/own'), new URL(origin.url.replace('h2c', 'http')).host);
});

t.test('a trusted peer’s forwarded fields are believed and appended to, a stranger’s are dropped', { skip: missingAddon }, async (t) => {
  const routes = [
    { name: 'theirs', match: { networks: ['203.0.113.0/24'] }, upstream: 'web', request_headers: { set: { 'x-route': `\${route}` } } },
    { match: {}, upstream: 'web' },
  ];
  const request = { headers: { 'x-forwarded-for': '6.6.6.6, 203.0.113.9', 'x-forwarded-port': '99' } };
  const trusted = await tellingEdge(t, routes, { listener: { trusted_networks: ['127.0.0.1'] } });
  t.match(await trusted.sees(request), {
    'x-route': 'theirs',
    'x-forwarded-for': '6.6.6.6, 203.0.113.9, 127.0.0.1',
    'x-forwarded-port': '99',
  });
  const stranger = await tellingEdge(t, routes);
  const seen = await stranger.sees(request);
  t.equal(seen['x-forwarded-for'], '127.0.0.1');
  t.notOk('x-route' in seen || 'x-forwarded-port' in seen);
});

t.test('the same path of two tenants leads to two upstreams', { skip: missingAddon }, async (t) => {
  const [one, other, rest] = await Promise.all(['one', 'other', 'rest'].map((text) => startH2Origin(t, answers(text))));
  const edge = await startEdge(t, {
    backends: [],
    config: {
      tenants: { acme: { hosts: ['acme.test'] }, globex: { header: 'x-tenant' } },
      upstreams: {
        one: { backends: [{ url: one!.url }] },
        other: { backends: [{ url: other!.url }] },
        rest: { backends: [{ url: rest!.url }] },
      },
      routes: [
        { match: { path: '/api', tenant: 'acme' }, upstream: 'one' },
        { match: { path: '/api', tenant: 'globex' }, upstream: 'other' },
        { match: { path: '/' }, upstream: 'rest' },
      ],
    },
  });
  const client = await connectH3(t, edge.port);
  const textOf = async (path: string, headers: Record<string, string>) => (await client.exchange({ path, headers })).text;
  t.equal(await textOf('/api/x', { ':authority': 'acme.test' }), 'one');
  t.equal(await textOf('/api/x', { 'x-tenant': 'globex' }), 'other');
  t.equal(await textOf('/api/x', {}), 'rest');
  t.equal(await textOf('/else', { ':authority': 'acme.test' }), 'rest', 'what none of its own routes takes');
});

t.test('redirects and fixed responses need no backend and have the edits of their route', { skip: missingAddon }, async (t) => {
  const { client, origin, edge } = await tellingEdge(t, [
    { match: { path: '/old' }, redirect: { status: 308, host: 'new.test', port: 443, replace_prefix: '/new' } },
    {
      match: { path: '/down' },
      respond: { status: 503, headers: { 'retry-after': '60' }, body: 'Späte' },
      response_headers: { set: { 'cache-control': 'no-store' } },
    },
  ]);
  const moved = await client.exchange({ path: '/old/a?b=c' });
  t.equal(moved.status, 308);
  t.equal(moved.headers['location'], 'https://new.test/new/a?b=c');
  t.match(moved.headers, { 'content-length': '0', 'x-request-id': /^[0-9a-f]{32}$/ });
  const down = await client.exchange({ path: '/down' });
  t.equal(down.status, 503);
  t.equal(down.text, 'Späte');
  t.match(down.headers, {
    'retry-after': '60',
    'cache-control': 'no-store',
    'content-type': 'text/plain; charset=utf-8',
    'content-length': '6',
  });
  t.equal((await client.exchange({ method: 'HEAD', path: '/down' })).body.length, 0);
  t.equal(origin.requests, 0);
  const lines = await until('three access lines', () => (edge.access().length < 3 ? undefined : edge.access()));
  t.strictSame(
    lines.map(({ reason }) => reason),
    ['redirected', 'fixed_response', 'fixed_response'],
  );
});

t.test('a gRPC client is answered in trailers-only form', { skip: missingAddon }, async (t) => {
  const edge = await startEdge(t, { backends: ['h2c://127.0.0.1:1'], route: { match: { path: '/shop.Cart' } } });
  const client = await connectH3(t, edge.port);
  const call = (path: string) =>
    client.exchange({ path, body: Buffer.alloc(5), headers: { 'content-type': 'application/grpc', te: 'trailers' } });
  const refused = await call('/shop.Cart/Add');
  t.equal(refused.status, 200);
  t.match(refused.headers, { 'content-type': 'application/grpc', 'grpc-status': '14', 'grpc-message': 'connect_failed' });
  t.equal(refused.body.length, 0);
  t.match((await call('/none')).headers, { ':status': '200', 'grpc-status': '12', 'grpc-message': 'route_not_found' });
});
