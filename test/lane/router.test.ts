import fc from 'fast-check';
import t from 'tap';
import { type RouteMatch, Router } from '../../src/lane/route/router.ts';

/** Asks with authority and path somewhere inside a larger buffer, as they lie in a record. */
function match(router: Router, authority: string, path: string): number {
  const bytes = Buffer.from(`~${authority}${path}~`, 'latin1');
  return router.match(bytes, 1, authority.length, 1 + authority.length, path.length);
}

function prefix(host: string, path: string): RouteMatch {
  return { host, path, pathKind: 'prefix' };
}

function exact(host: string, path: string): RouteMatch {
  return { host, path, pathKind: 'exact' };
}

t.test('a prefix matches on segment borders only', async (t) => {
  const router = new Router([prefix('*', '/a')]);
  t.equal(match(router, 'x.test', '/a'), 0);
  t.equal(match(router, 'x.test', '/a/'), 0);
  t.equal(match(router, 'x.test', '/a/b'), 0);
  t.equal(match(router, 'x.test', '/a?b=/c'), 0);
  t.equal(match(router, 'x.test', '/ab'), -1);
  t.equal(match(router, 'x.test', '/'), -1);
});

t.test('a prefix with a trailing slash stands for its segment', async (t) => {
  const router = new Router([prefix('*', '/a/')]);
  t.equal(match(router, 'x.test', '/a'), 0);
  t.equal(match(router, 'x.test', '/a/b'), 0);
});

t.test('the exact path goes before the longest prefix, which goes before shorter ones', async (t) => {
  const router = new Router([prefix('*', '/'), prefix('*', '/a'), prefix('*', '/a/b'), exact('*', '/a/b')]);
  t.equal(match(router, 'x.test', '/'), 0);
  t.equal(match(router, 'x.test', '/z'), 0);
  t.equal(match(router, 'x.test', '/a/c'), 1);
  t.equal(match(router, 'x.test', '/a/b/c'), 2);
  t.equal(match(router, 'x.test', '/a/b'), 3);
  t.equal(match(router, 'x.test', '/a/b?q'), 3);
});

t.test('the exact host goes before the longest wildcard, which goes before any', async (t) => {
  const router = new Router([prefix('*', '/'), prefix('*.test', '/'), prefix('*.a.test', '/'), prefix('b.a.test', '/')]);
  t.equal(match(router, 'other', '/'), 0);
  t.equal(match(router, 'test', '/'), 0, 'a wildcard needs a label');
  t.equal(match(router, 'a.test', '/'), 1);
  t.equal(match(router, 'x.y.a.test', '/'), 2);
  t.equal(match(router, 'b.a.test', '/'), 3);
});

t.test('a host whose paths do not match leaves the request to the next less exact one', async (t) => {
  const router = new Router([prefix('*', '/'), prefix('*.test', '/w'), prefix('a.test', '/x')]);
  t.equal(match(router, 'a.test', '/x/1'), 2);
  t.equal(match(router, 'a.test', '/w'), 1);
  t.equal(match(router, 'a.test', '/q'), 0);
});

t.test('case, port and a trailing dot of the authority do not matter', async (t) => {
  const router = new Router([prefix('a.test', '/'), prefix('[::1]', '/')]);
  for (const authority of ['A.Test', 'a.test:443', 'a.test.', 'a.test.:8443', 'a.test:'])
    t.equal(match(router, authority, '/'), 0, authority);
  t.equal(match(router, '[::1]', '/'), 1);
  t.equal(match(router, '[::1]:8443', '/'), 1);
  t.equal(match(router, '', '/'), -1);
  t.equal(match(router, `${'a'.repeat(300)}.test`, '/'), -1);
});

t.test('of two routes that say the same the first stands', async (t) => {
  const router = new Router([prefix('*', '/a'), prefix('*', '/a/'), prefix('*', '/'), prefix('*', '/')]);
  t.equal(match(router, 'x', '/a'), 0);
  t.equal(match(router, 'x', '/b'), 2);
});

t.test('it agrees with a search through all routes', async (t) => {
  const label = fc.constantFrom('a', 'b', 'c');
  const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'));
  const host = fc.oneof(
    fc.constant('*'),
    name,
    name.map((suffix) => `*.${suffix}`),
  );
  const path = fc.array(fc.constantFrom('a', 'b', 'ab', ''), { maxLength: 4 }).map((segments) => `/${segments.join('/')}`);
  const route = fc.record({ host, path, pathKind: fc.constantFrom('prefix' as const, 'exact' as const) });
  const query = fc.constantFrom('', '?', '?a/b', '?/');
  const asked = fc.tuple(name, fc.constantFrom('', ':1', '.'), path, query);
  fc.assert(
    fc.property(fc.array(route, { maxLength: 40 }), fc.array(asked, { minLength: 20, maxLength: 40 }), (routes, requests) => {
      const router = new Router(routes);
      return requests.every(([authority, tail, target, search]) => {
        return match(router, authority + tail, target + search) === searchAll(routes, authority, target);
      });
    }),
    { numRuns: 1_000 },
  );
  t.pass('a thousand tables agree');
});

/** The rules of precedence, said as plainly as possible. */
function searchAll(routes: readonly RouteMatch[], host: string, path: string): number {
  let best = -1;
  let bestRank = [-1, -1];
  for (const [number, route] of routes.entries()) {
    const rank = [hostRank(route.host, host), pathRank(route, path)];
    if (rank[0] === -1 || rank[1] === -1) continue;
    if (rank[0]! > bestRank[0]! || (rank[0] === bestRank[0] && rank[1]! > bestRank[1]!)) {
      best = number;
      bestRank = rank;
    }
  }
  return best;
}

function hostRank(pattern: string, host: string): number {
  if (pattern === '*') return 0;
  if (pattern === host) return 1_000;
  if (pattern.startsWith('*.') && host.endsWith(pattern.slice(1)) && host.length > pattern.length - 1) return pattern.length;
  return -1;
}

function pathRank(route: RouteMatch, path: string): number {
  if (route.pathKind === 'exact') return route.path === path ? 1_000 : -1;
  const prefix = route.path.replace(/\/+$/, '');
  return path === prefix || path.startsWith(`${prefix}/`) ? prefix.length : -1;
}
