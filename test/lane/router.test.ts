import fc from 'fast-check';
import t from 'tap';
import type { ConditionSnapshot, MatchSnapshot } from '../../src/config/snapshot/match.ts';
import type { TenantSnapshot } from '../../src/config/snapshot/tenant.ts';
import { Client } from '../../src/lane/head/client.ts';
import { inPrecedence } from '../../src/lane/route/precedence.ts';
import { Router } from '../../src/lane/route/router.ts';
import { headDesk } from '../support/heads.ts';
import type { SampleHead } from '../support/records.ts';
import { sampleListener, sampleRoute, sampleTenant, trusting } from '../support/snapshots.ts';

/** A router and a client to ask it for. */
function ask(matches: readonly Partial<MatchSnapshot>[], tenants: readonly TenantSnapshot[] = []) {
  const desk = headDesk();
  const source = { routes: matches.map((match) => sampleRoute({ match })), tenants };
  // As a shard gets it: made once, and over a port.
  const router = new Router(source, desk.lookups, structuredClone(new Router(source, desk.lookups).pack()));
  const client = new Client([sampleListener()], desk.lookups);
  const read = (given: Partial<SampleHead>) => {
    const head = desk.read(given);
    client.read(head);
    return head;
  };
  return {
    router,
    match: (authority: string, path: string, more: Partial<SampleHead> = {}) => router.match(read({ authority, path, ...more }), client),
    explain: (given: Partial<SampleHead>) => router.explain(read(given), client),
  };
}

function prefix(host: string, path: string): Partial<MatchSnapshot> {
  return { host, path, pathKind: 'prefix' };
}

function exact(host: string, path: string): Partial<MatchSnapshot> {
  return { host, path, pathKind: 'exact' };
}

function regex(host: string, path: string): Partial<MatchSnapshot> {
  return { host, path, pathKind: 'regex' };
}

function is(name: string, value: string): ConditionSnapshot {
  return { name, kind: 'exact', value };
}

t.test('a prefix matches on segment borders only', async (t) => {
  const { match } = ask([prefix('*', '/a')]);
  t.equal(match('x.test', '/a'), 0);
  t.equal(match('x.test', '/a/'), 0);
  t.equal(match('x.test', '/a/b'), 0);
  t.equal(match('x.test', '/a?b=/c'), 0);
  t.equal(match('x.test', '/ab'), -1);
  t.equal(match('x.test', '/'), -1);
});

t.test('a prefix with a trailing slash stands for its segment', async (t) => {
  const { match } = ask([prefix('*', '/a/')]);
  t.equal(match('x.test', '/a'), 0);
  t.equal(match('x.test', '/a/b'), 0);
});

t.test('the exact path goes before patterns, which go before the longest prefix, which goes before shorter ones', async (t) => {
  const { match } = ask([prefix('*', '/'), prefix('*', '/a'), prefix('*', '/a/b'), exact('*', '/a/b'), regex('*', '/a/.*/x')]);
  t.equal(match('x.test', '/'), 0);
  t.equal(match('x.test', '/z'), 0);
  t.equal(match('x.test', '/a/c'), 1);
  t.equal(match('x.test', '/a/b/c'), 2);
  t.equal(match('x.test', '/a/b'), 3);
  t.equal(match('x.test', '/a/b?q'), 3);
  t.equal(match('x.test', '/a/b/x?q'), 4);
  t.equal(match('x.test', '/a/b/x/y'), 2, 'a pattern takes the whole path');
});

t.test('of several patterns the first in order stands', async (t) => {
  const { match } = ask([regex('*', '/v[0-9]+/.*'), regex('*', '/v1/.*'), regex('*', '/(?:w|x)[a-c]{2}')]);
  t.equal(match('x.test', '/v1/a'), 0);
  t.equal(match('x.test', '/v/a'), -1);
  t.equal(match('x.test', '/xab'), 2);
  t.equal(match('x.test', '/xabc'), -1);
});

t.test('the exact host goes before the longest wildcard, which goes before any', async (t) => {
  const { match } = ask([prefix('*', '/'), prefix('*.test', '/'), prefix('*.a.test', '/'), prefix('b.a.test', '/')]);
  t.equal(match('other', '/'), 0);
  t.equal(match('test', '/'), 0, 'a wildcard needs a label');
  t.equal(match('a.test', '/'), 1);
  t.equal(match('x.y.a.test', '/'), 2);
  t.equal(match('b.a.test', '/'), 3);
});

t.test('a host whose paths do not match leaves the request to the next less exact one', async (t) => {
  const { match } = ask([prefix('*', '/'), prefix('*.test', '/w'), prefix('a.test', '/x')]);
  t.equal(match('a.test', '/x/1'), 2);
  t.equal(match('a.test', '/w'), 1);
  t.equal(match('a.test', '/q'), 0);
});

t.test('case, port and a trailing dot of the authority do not matter', async (t) => {
  const { match } = ask([prefix('a.test', '/'), prefix('[::1]', '/')]);
  for (const authority of ['A.Test', 'a.test:443', 'a.test.', 'a.test.:8443', 'a.test:']) t.equal(match(authority, '/'), 0, authority);
  t.equal(match('[::1]', '/'), 1);
  t.equal(match('[::1]:8443', '/'), 1);
  t.equal(match('', '/'), -1);
  t.equal(match(`${'a'.repeat(300)}.test`, '/'), -1);
});

t.test('of two routes that say the same the first stands', async (t) => {
  const { match } = ask([prefix('*', '/a'), prefix('*', '/a/'), prefix('*', '/'), prefix('*', '/')]);
  t.equal(match('x', '/a'), 0);
  t.equal(match('x', '/b'), 2);
});

t.test('a route whose conditions fail leaves the request to those after it, then to less exact paths and hosts', async (t) => {
  const canary = { headers: [is('x-canary', '1')] };
  const { match } = ask([
    { ...prefix('*', '/'), methods: ['GET'] },
    { ...prefix('a.test', '/'), methods: ['POST'] },
    prefix('a.test', '/api'),
    { ...prefix('a.test', '/api'), ...canary },
    { ...exact('a.test', '/api/x'), methods: ['PUT'] },
  ]);
  const fields: [string, string][] = [['x-canary', '1']];
  t.equal(match('a.test', '/api/y', { fields }), 3);
  t.equal(match('a.test', '/api/y'), 2);
  t.equal(match('a.test', '/api/x', { method: 'PUT' }), 4);
  t.equal(match('a.test', '/api/x'), 2);
  t.equal(match('a.test', '/', { method: 'POST' }), 1);
  t.equal(match('a.test', '/'), 0);
  t.equal(match('a.test', '/', { method: 'DELETE' }), -1);
});

t.test('more conditions go first: method, headers, query, cookies, networks', async (t) => {
  const ways: Partial<MatchSnapshot>[] = [
    {},
    { networks: ['127.0.0.0/8'] },
    { cookies: [is('c', '1')] },
    { query: [is('q', '1')] },
    { headers: [is('a', '1')] },
    { headers: [is('a', '1'), is('b', '1')] },
    { methods: ['GET'] },
  ];
  const fields: [string, string][] = [
    ['a', '1'],
    ['b', '1'],
    ['cookie', 'c=1'],
  ];
  for (let last = ways.length - 1; last >= 0; last--) {
    const { match } = ask(ways.slice(0, last + 1));
    t.equal(match('x', '/?q=1', { fields }), last);
  }
});

t.test('every way of comparing', async (t) => {
  const cases: [ConditionSnapshot['kind'], string, string[], string[]][] = [
    ['exact', 'abc', ['abc'], ['ab', 'abcd', 'ABC']],
    ['prefix', 'ab', ['ab', 'abc'], ['a', 'xab']],
    ['suffix', 'bc', ['bc', 'abc'], ['c', 'bcx']],
    ['contains', 'aab', ['aab', 'aaab', 'xaaby'], ['aa', 'ab', '']],
    ['regex', 'v[0-9]+', ['v1', 'v12'], ['v', 'xv1', 'v1x']],
    ['regex', '(?i)mobile|tablet', ['MOBILE', 'tablet'], ['mobiletablet']],
    ['present', '', ['', 'x'], []],
  ];
  for (const [kind, value, fitting, failing] of cases) {
    const { match } = ask([{ headers: [{ name: 'x-a', kind, value }] }]);
    for (const given of fitting) t.equal(match('x', '/', { fields: [['x-a', given]] }), 0, `${kind} ${value}: ${given}`);
    for (const given of failing) t.equal(match('x', '/', { fields: [['x-a', given]] }), -1, `${kind} ${value}: not ${given}`);
    t.equal(match('x', '/', { fields: [['x-ab', 'abc']] }), -1);
  }
  const absent = ask([{ headers: [{ name: 'x-a', kind: 'absent', value: '' }] }]);
  t.equal(absent.match('x', '/'), 0);
  t.equal(absent.match('x', '/', { fields: [['x-a', '']] }), -1);
});

t.test('one of several values must fit', async (t) => {
  const { match } = ask([{ headers: [is('x-a', '2')], cookies: [is('c', '2')], query: [is('q', '2')] }]);
  const two = (name: string, first: string): [string, string][] => [
    [name, `${first}1`],
    ['between', '3'],
    [name, `${first}2`],
  ];
  t.equal(match('x', '/?q=1&q=2', { fields: [...two('x-a', ''), ...two('cookie', 'c=')] }), 0);
  t.equal(match('x', '/?q=1&q=3', { fields: [...two('x-a', ''), ...two('cookie', 'c=')] }), -1);
});

t.test('cookies are told by their exact name, in one field or several', async (t) => {
  const { match } = ask([{ cookies: [is('beta', '1')] }]);
  const sent = (...lines: string[]) => match('x', '/', { fields: lines.map((line) => ['cookie', line] as [string, string]) });
  for (const line of ['beta=1', 'a=b; beta=1', 'a=b;beta=1', ' beta=1 ;x=y', ';;beta=1;', 'beta=0; beta=1']) t.equal(sent(line), 0, line);
  for (const line of ['xbeta=1', 'beta=1x', 'beta', 'beta=', 'beta =1', 'a=beta=1', 'Beta=1', '']) t.equal(sent(line), -1, line);
  t.equal(sent('a=b', 'beta=1'), 0);
});

t.test('query parameters are compared decoded', async (t) => {
  const { match } = ask([{ query: [is('q', 'a b')] }, { query: [{ name: 'debug', kind: 'present', value: '' }] }]);
  for (const query of ['q=a%20b', 'q=a+b', 'x&q=%61%20b', '%71=a+b', 'q=1&&q=a+b']) t.equal(match('x', `/?${query}`), 0, query);
  for (const query of ['q=a%2520b', 'qq=a+b', 'q=a%20b%', 'q', 'x=q=a+b', '']) t.equal(match('x', `/?${query}`), -1, query);
  for (const query of ['debug', 'debug=', 'x=1&debug=0']) t.equal(match('x', `/?${query}`), 1, query);
  t.equal(match('x', '/debug'), -1);
});

t.test('client networks are those of the client behind trusted proxies', async (t) => {
  const desk = headDesk();
  const router = new Router(
    { routes: [sampleRoute({ match: { networks: ['203.0.113.0/24', '2001:db8::/32'] } })], tenants: [] },
    desk.lookups,
  );
  const client = new Client([sampleListener({ trustedNetworks: trusting(['127.0.0.1']) })], desk.lookups);
  const from = (address: string) => {
    const head = desk.read({ fields: [['x-forwarded-for', address]] });
    client.read(head);
    return router.match(head, client);
  };
  t.equal(from('203.0.113.7'), 0);
  t.equal(from('2001:db8:1::7'), 0);
  t.equal(from('203.0.114.7'), -1);
});

t.test('a tenant is told by host, header or path, the first in order', async (t) => {
  const tenants = [
    sampleTenant({ name: 'a', hosts: ['*.a.test', 'a.test'] }),
    sampleTenant({ name: 'b', header: 'x-tenant', headerValue: 'b' }),
    sampleTenant({ name: 'c', pathPrefix: '/c' }),
    sampleTenant({ name: 'd', header: 'x-tenant', headerValue: 'd' }),
  ];
  const { router, match } = ask([{}], tenants);
  const tenantOf = (authority: string, path: string, value?: string) => {
    match(authority, path, { fields: value === undefined ? [] : [['x-tenant', value]] });
    return router.tenant;
  };
  t.equal(tenantOf('x.a.test', '/'), 0);
  t.equal(tenantOf('a.test', '/c/x', 'd'), 0);
  t.equal(tenantOf('other.test', '/c/x', 'b'), 1);
  t.equal(tenantOf('other.test', '/c?x'), 2);
  t.equal(tenantOf('other.test', '/cc'), -1);
  t.equal(tenantOf('other.test', '/', 'd'), 3);
  t.equal(tenantOf('other.test', '/', 'e'), -1);
});

t.test("a tenant's routes take its requests only, and go before those of no tenant, which take the rest", async (t) => {
  const tenants = [sampleTenant({ name: 'a' }), sampleTenant({ name: 'b' })];
  const { match } = ask(
    [exact('a.test', '/x'), { path: '/x', tenant: 0 }, { path: '/x', tenant: 1 }, { path: '/y', tenant: 1 }, { path: '/' }],
    tenants,
  );
  t.equal(match('a.test', '/x'), 1);
  t.equal(match('b.test', '/x'), 2);
  t.equal(match('a.test', '/y'), 4);
  t.equal(match('c.test', '/x'), 4);
});

t.test('an explanation names what was passed over and the first condition that failed', async (t) => {
  const { explain } = ask([
    prefix('*', '/'),
    { ...prefix('a.test', '/api'), methods: ['POST', 'PUT'] },
    { ...prefix('a.test', '/api'), headers: [is('x-canary', '1')], networks: ['127.0.0.1/32'] },
    regex('a.test', '/api/[0-9]+'),
  ]);
  t.strictSame(explain({ authority: 'a.test', path: '/api/x' }), {
    tenant: -1,
    passedOver: [
      { route: 3, failed: 'path matches /api/[0-9]+' },
      { route: 1, failed: 'method is POST or PUT' },
      { route: 2, failed: 'header x-canary is "1"' },
    ],
    route: 0,
  });
  t.match(explain({ authority: 'a.test', path: '/api/12' }), { passedOver: [], route: 3 });
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
  const place = fc.oneof(
    { arbitrary: fc.record({ path, pathKind: fc.constantFrom('prefix' as const, 'exact' as const) }), weight: 5 },
    {
      arbitrary: fc.record({ path: fc.constantFrom('/a.*', '/[ab]/a?', '/a/b', '.*/b'), pathKind: fc.constant('regex' as const) }),
      weight: 1,
    },
  );
  const conditions = (values: string[]) =>
    fc.uniqueArray(
      fc.record({
        name: fc.constantFrom('x', 'y'),
        kind: fc.constantFrom('present', 'absent', 'exact', 'prefix', 'regex'),
        value: fc.constantFrom(...values),
      }),
      { maxLength: 2, selector: (condition: ConditionSnapshot) => condition.name },
    );
  const few = <T>(some: fc.Arbitrary<T[]>) => fc.oneof({ arbitrary: fc.constant<T[]>([]), weight: 3 }, { arbitrary: some, weight: 1 });
  const match: fc.Arbitrary<MatchSnapshot> = fc
    .tuple(
      place,
      fc.record({
        host,
        methods: few(fc.constantFrom(['GET'], ['POST', 'PUT'])),
        headers: few(conditions(['1', '12'])),
        query: few(conditions(['1', '12'])),
        cookies: few(conditions(['1', '12'])),
        certificate: fc.constant([]),
        networks: few(fc.constantFrom(['10.0.0.0/8'], ['127.0.0.1/32', '::/0'])),
        tenant: fc.constantFrom(-1, -1, 0, 1),
      }),
    )
    .map(([at, rest]) => ({ ...rest, ...at }));
  const values = fc.array(fc.tuple(fc.constantFrom('x', 'y', 'z'), fc.constantFrom('1', '12', '2', '')), { maxLength: 3 });
  const request: fc.Arbitrary<Asked> = fc.record({
    host: name,
    tail: fc.constantFrom('', ':1', '.'),
    path,
    method: fc.constantFrom('GET', 'POST', 'PUT', 'DELETE'),
    headers: values,
    query: values,
    cookies: values,
    address: fc.constantFrom([10, 1, 2, 3], [127, 0, 0, 1], [192, 0, 2, 1]),
  });
  const tenants = [sampleTenant({ name: 't0', hosts: ['*.a', 'b'] }), sampleTenant({ name: 't1', header: 'x', headerValue: '12' })];
  fc.assert(
    fc.property(fc.array(match, { maxLength: 40 }), fc.array(request, { minLength: 20, maxLength: 40 }), (matches, requests) => {
      const { match: routeOf } = ask(matches, tenants);
      const order = inPrecedence(matches.map((given) => sampleRoute({ match: given })));
      for (const asked of requests) {
        const found = routeOf(asked.host + asked.tail, asked.path + queryText(asked), {
          method: asked.method,
          address: asked.address,
          fields: [...asked.headers, ...asked.cookies.map(([cookie, value]): [string, string] => ['cookie', `${cookie}=${value}`])],
        });
        const expected = searchAll(matches, asked);
        if (found !== expected) throw new Error(`${found} instead of ${expected} for ${JSON.stringify(asked)}`);
        // The order shown to people says the same: what is found stands before all else that takes
        // the request.
        const ofTenant = order.filter((route) => fitsAll(matches[route]!, asked));
        const listed =
          ofTenant.find((route) => matches[route]!.tenant === tenantOf(asked)) ??
          ofTenant.find((route) => matches[route]!.tenant === -1) ??
          -1;
        if (listed !== expected) throw new Error(`listed before: ${listed} instead of ${expected} for ${JSON.stringify(asked)}`);
      }
    }),
    { numRuns: 1_000, seed: 7 },
  );
  t.pass('a thousand tables agree');
});

interface Asked {
  host: string;
  tail: string;
  path: string;
  method: string;
  headers: [string, string][];
  query: [string, string][];
  cookies: [string, string][];
  address: number[];
}

function queryText({ query }: Asked): string {
  return query.length === 0 ? '' : `?${query.map(([name, value]) => `${name}=${value}`).join('&')}`;
}

/**
 * The rules of precedence, said as plainly as possible: the greatest rank, compared place by place,
 * wins; the first of equals stands.
 */
function searchAll(matches: readonly MatchSnapshot[], asked: Asked): number {
  const tenant = tenantOf(asked);
  let best = -1;
  let bestRank: number[] = [];
  for (const [number, match] of matches.entries()) {
    if ((match.tenant !== -1 && match.tenant !== tenant) || !fitsAll(match, asked)) continue;
    const rank = [match.tenant === -1 ? 0 : 1, hostRank(match.host, asked.host), ...pathRank(matches, number), ...conditionRank(match)];
    if (best === -1 || isGreater(rank, bestRank)) {
      best = number;
      bestRank = rank;
    }
  }
  return best;
}

function isGreater(rank: number[], other: number[]): boolean {
  const at = rank.findIndex((value, i) => value !== other[i]);
  return at !== -1 && rank[at]! > other[at]!;
}

function tenantOf({ host, headers }: Asked): number {
  if (host === 'b' || host.endsWith('.a')) return 0;
  return headers.some(([name, value]) => name === 'x' && value === '12') ? 1 : -1;
}

function fitsAll(match: MatchSnapshot, asked: Asked): boolean {
  return (
    hostRank(match.host, asked.host) !== -1 &&
    fitsPath(match, asked.path) &&
    (match.methods.length === 0 || match.methods.includes(asked.method)) &&
    match.headers.every((condition) => fits(condition, asked.headers)) &&
    match.query.every((condition) => fits(condition, asked.query)) &&
    match.cookies.every((condition) => fits(condition, asked.cookies)) &&
    (match.networks.length === 0 || asked.address[0] === (match.networks[0] === '10.0.0.0/8' ? 10 : 127))
  );
}

function fits({ name, kind, value }: ConditionSnapshot, given: [string, string][]): boolean {
  const values = given.filter(([of]) => of === name).map(([, text]) => text);
  if (kind === 'absent') return values.length === 0;
  return values.some((text) => kind === 'present' || (kind === 'prefix' ? text.startsWith(value) : text === value));
}

function fitsPath({ path, pathKind }: MatchSnapshot, asked: string): boolean {
  if (pathKind === 'regex') return new RegExp(`^(?:${path})$`).test(asked);
  if (pathKind === 'exact') return asked === path;
  const prefix = path.replace(/\/+$/, '');
  return asked === prefix || asked.startsWith(`${prefix}/`);
}

function hostRank(pattern: string, host: string): number {
  if (pattern === '*') return 0;
  if (pattern === host) return 1_000;
  return pattern.startsWith('*.') && host.endsWith(pattern.slice(1)) && host.length > pattern.length - 1 ? pattern.length : -1;
}

/** Exact paths, then patterns in the order in which each first stands, then prefixes by length. */
function pathRank(matches: readonly MatchSnapshot[], number: number): number[] {
  const { host, tenant, path, pathKind } = matches[number]!;
  if (pathKind === 'exact') return [2, 0];
  if (pathKind === 'prefix') return [0, path.replace(/\/+$/, '').length];
  const first = matches.findIndex(
    (other) => other.pathKind === 'regex' && other.path === path && other.host === host && other.tenant === tenant,
  );
  return [1, -first];
}

function conditionRank({ methods, headers, query, cookies, networks }: MatchSnapshot): number[] {
  return [Math.min(1, methods.length), headers.length, query.length, cookies.length, Math.min(1, networks.length)];
}
