import { readFileSync } from 'node:fs';
import t from 'tap';
import { NAME_PATTERN_RULE } from '../../src/config/schema/pattern.ts';
import { PLAIN, plainWith, problemsOf } from './support/configuration.ts';

/**
 * Problems of the plain configuration with a route in place of its own, without file and position;
 * warnings left out.
 */
async function mistakes(t: import('tap').Test, route: string, more = ''): Promise<string[]> {
  const lines = await problemsOf(t, `${plainWith('  - { match: { path: / }, upstream: web }\n', `  - ${route}\n`)}${more}`);
  return lines.filter((line) => line.includes(' error: ')).map((line) => line.replace(/^edge\.yaml:\d+:\d+: error: routes\[0\]\./, ''));
}

const MISTAKES: readonly (readonly [title: string, route: string, ...complaints: string[]])[] = [
  [
    'a route leads somewhere',
    '{ match: { path: /a } }',
    'upstream: is missing; expected exactly one of upstream, split, redirect and respond',
  ],
  [
    'a route leads to one place',
    '{ upstream: web, redirect: { scheme: https }, respond: { body: hi } }',
    'redirect: stands beside upstream; expected exactly one of upstream, split, redirect and respond',
    'respond: stands beside upstream; expected exactly one of upstream, split, redirect and respond',
  ],
  ['parts of a split are upstreams', '{ split: [{ upstream: wbe }] }', 'split[0].upstream: "wbe" is not an upstream; did you mean web?'],
  [
    'a split has a weight',
    '{ split: [{ upstream: web, weight: 0 }] }',
    'split: has only weights of 0, so that nothing could be sent; expected one weight above 0',
  ],
  [
    'a part stands once in its split',
    '{ split: [{ upstream: web }, { upstream: web }] }',
    'split[1].upstream: "web" stands already in split[0]; expected each part to have its own',
  ],
  ['keys of a split need one', '{ upstream: web, split_by: client }', 'split_by: has no meaning without split; expected split beside it'],
  [
    'a subset is of some backend',
    '{ upstream: web, subset: { version: canary } }',
    'subset: { version: canary } is what no backend is labelled with; expected labels of a backend of web',
  ],
  [
    'a fallback is another upstream',
    '{ upstream: web, fallback: { upstream: web } }',
    'fallback.upstream: "web" is the route\'s own upstream; expected another one',
  ],
  [
    'a fallback is one thing',
    '{ upstream: web, fallback: {} }',
    'fallback.upstream: is missing; expected exactly one of upstream and respond',
  ],
  [
    'what goes to no backend has no fallback',
    '{ respond: { body: a }, fallback: { respond: {} } }',
    'fallback: has no meaning where no backend is asked; expected upstream or split',
  ],
  ['a tenant exists', '{ upstream: web, match: { tenant: acme } }', 'match.tenant: "acme" is not a tenant; expected one to be configured'],
  [
    'a condition looks in one way',
    '{ upstream: web, match: { headers: { x-a: { exact: a, prefix: b } } } }',
    'match.headers.x-a.prefix: stands beside exact; expected exactly one of exact, prefix, suffix, contains, regex, present',
  ],
  [
    'a condition looks at all',
    '{ upstream: web, match: { query: { q: {} } } }',
    'match.query.q: says nothing of the value; expected exactly one of exact, prefix, suffix, contains, regex, present',
  ],
  [
    'a match has one path',
    '{ upstream: web, match: { path: /a, path_regex: /b } }',
    'match.path_regex: stands beside path; expected exactly one of path and path_regex',
  ],
  [
    'a pattern takes the whole path anyway',
    '{ upstream: web, match: { exact: true, path_regex: /b } }',
    'match.exact: has no meaning beside path_regex, which takes the whole path; expected path',
  ],
  [
    'patterns are those of RE2',
    '{ upstream: web, match: { path_regex: "/(a)\\\\1" } }',
    'match.path_regex: "/(a)\\\\1" is no pattern: invalid escape sequence: `\\1`; expected a regular expression of RE2, which has no back-references and no look-around',
  ],
  [
    'a path may be met after normalisation',
    '{ upstream: web, match: { path: /a/../b } }',
    'match.path: "/a/../b" is not acceptable; expected a path that begins with / and has no query, fragment, dot segment or unescaped character',
  ],
  [
    'networks are blocks',
    '{ upstream: web, match: { networks: [10.0.0.0/33] } }',
    'match.networks[0]: "10.0.0.0/33" is not acceptable; expected an address or a CIDR block, such as 10.0.0.0/8 or 2001:db8::/32',
  ],
  [
    'one value in place of a list is told of by the name of the list',
    '{ upstream: web, access: { deny: nobody } }',
    'access.deny: "nobody" is not acceptable; expected an address or a CIDR block, such as 10.0.0.0/8 or 2001:db8::/32',
  ],
  [
    'a replacement has only groups of its pattern',
    '{ upstream: web, rewrite: { regex: "^/(a)", replacement: /$2 } }',
    'rewrite.replacement: "/$2" asks for group 2; expected at most $1',
  ],
  [
    'a path is rewritten in one way',
    '{ upstream: web, rewrite: { regex: "^/a", strip_prefix: /a } }',
    'rewrite.strip_prefix: stands beside regex; expected either strip_prefix and replace_prefix, or regex and replacement',
  ],
  [
    'a rewrite changes something',
    '{ upstream: web, rewrite: {} }',
    'rewrite: changes nothing; expected either strip_prefix and replace_prefix, or regex and replacement',
  ],
  [
    'a prefix that is stripped is there',
    '{ upstream: web, match: { path: /a }, rewrite: { strip_prefix: /b } }',
    'rewrite.strip_prefix: "/b" is never at the front of a path that this route takes; expected /a, or a part of it',
  ],
  [
    'a route by pattern has no prefix to replace',
    '{ upstream: web, match: { path_regex: "/[ab]/.*" }, rewrite: { replace_prefix: /c } }',
    'rewrite.strip_prefix: is missing; expected the prefix that is replaced, as the route matches by pattern',
  ],
  [
    'a redirect leads elsewhere',
    '{ redirect: {} }',
    'redirect: leads to where the request came from; expected scheme, host, port, or another path',
  ],
  [
    'a redirect changes the path in one way',
    '{ redirect: { path: /a, strip_prefix: / } }',
    'redirect.strip_prefix: has no meaning beside path; expected one way to change the path',
  ],
  [
    'a redirect has a status of redirects',
    '{ redirect: { status: 200, scheme: https } }',
    'redirect.status: 200 is not acceptable; expected one of 301, 302, 303, 307, 308',
  ],
  ['204 has no body', '{ respond: { status: 204, body: a } }', 'respond.body: has no meaning with 204, which has none'],
  [
    'fields of an answer have room in a head',
    `{ respond: { headers: { ${Array.from({ length: 70 }, (_, i) => `x-${i}: ${'v'.repeat(4_096)}`).join(', ')} } } }`,
    'respond.headers: 70 fields take 289230 bytes; expected up to 16384, names, values and 32 bytes for each field counted',
  ],
  [
    'fields of a fallback have room in a head',
    `{ upstream: web, fallback: { respond: { headers: { ${Array.from({ length: 5 }, (_, i) => `x-${i}: ${'v'.repeat(4_000)}`).join(', ')} } } } }`,
    'fallback.respond.headers: 5 fields take 20175 bytes; expected up to 16384, names, values and 32 bytes for each field counted',
  ],
  [
    'variables are known',
    '{ upstream: web, request_headers: { set: { x-a: "${client_addres}" } } }',
    'request_headers.set.x-a: "${client_addres}" has ${client_addres}, which is no variable; expected printable ASCII, in which these may stand: ${client_address}, ${client_port}, ${scheme}, ${authority}, ${path}, ${method}, ${request_id}, ${forwarded_node}, ${remaining_ms}, ${remaining_grpc}, ${client_certificate_verdict}, ${client_certificate_fingerprint}, ${client_certificate_serial}, ${client_certificate_subject}, ${client_certificate_issuer}, ${client_certificate_names}, ${route}, ${upstream}, ${backend}, ${header:NAME}',
  ],
  [
    'fields of a connection are not edited',
    '{ upstream: web, response_headers: { set: { Connection: close } } }',
    'response_headers.set.Connection: belongs to one connection; expected the name of a header field that may be edited: not one of a connection, not host, content-length or a pseudo-header',
  ],
  [
    'what HTTP/1.1 said of a switch to HTTP/2 belongs to a connection too',
    '{ upstream: web, request_headers: { append: { HTTP2-Settings: AAMAAABk } } }',
    'request_headers.append.HTTP2-Settings: belongs to one connection; expected the name of a header field that may be edited: not one of a connection, not host, content-length or a pseudo-header',
  ],
  [
    'a glob is written nowhere',
    '{ upstream: web, request_headers: { set: { "x-*": a } }, response_headers: { add: { "*": b } } }',
    'request_headers.set["x-*"]: has a *, which only stands for any text where fields are removed; expected the name of a header field that may be edited: not one of a connection, not host, content-length or a pseudo-header',
    'response_headers.add["*"]: has a *, which only stands for any text where fields are removed; expected the name of a header field that may be edited: not one of a connection, not host, content-length or a pseudo-header',
  ],
  [
    'pseudo-headers are not removed',
    '{ upstream: web, request_headers: { remove: [":path"] } }',
    'request_headers.remove[0]: ":path" is a pseudo-header, which has keys of its own; expected the name of a header field, in which * stands for any text, such as x-internal-*',
  ],
  [
    'what is removed is a name or a pattern, and patterns of names are small',
    `{ upstream: web, request_headers: { remove: [{ name: a, regex: b }, {}, { regex: "x-(" }, { regex: "x{3}" }, { regex: '\\pL' }, { regex: '(?i)x' }, { regex: ${'a'.repeat(257)} }] } }`,
    'request_headers.remove[0].regex: stands beside name; expected exactly one of name and regex',
    'request_headers.remove[1]: names no field; expected exactly one of name and regex',
    `request_headers.remove[2].regex: "x-(" is no pattern: missing closing ): \`x-(\`; expected ${NAME_PATTERN_RULE.expected}`,
    `request_headers.remove[3].regex: "x{3}" has more than patterns of names may have; expected ${NAME_PATTERN_RULE.expected}`,
    `request_headers.remove[4].regex: "\\\\pL" has more than patterns of names may have; expected ${NAME_PATTERN_RULE.expected}`,
    `request_headers.remove[5].regex: "(?i)x" has more than patterns of names may have; expected ${NAME_PATTERN_RULE.expected}`,
    `request_headers.remove[6].regex: "${'a'.repeat(56)}... is too long; expected ${NAME_PATTERN_RULE.expected}`,
  ],
  [
    'a list of removals has 16 patterns at most',
    `{ upstream: web, response_headers: { remove: [x-*, ${Array.from({ length: 17 }, (_, i) => `{ regex: x${i}+ }`).join(', ')}] } }`,
    'response_headers.remove[17].regex: "x16+" is a pattern too many; expected 16 at most; one pattern may have several branches',
  ],
  [
    'statuses are statuses',
    '{ upstream: web, retries: { statuses: [600] } }',
    'retries.statuses[0]: 600 is not acceptable; expected a status from 100 to 599, a range such as 502-504, or a class such as 5xx',
  ],
  [
    'success is no gRPC status to repeat',
    '{ upstream: web, retries: { grpc_statuses: ok } }',
    'retries.grpc_statuses: "ok" is not acceptable; expected a failing gRPC status by name or number, such as unavailable or 14',
  ],
  [
    'a number of retries stays small, in short and in long',
    '{ upstream: web, retries: 9 }',
    'retries: 9 lies outside the range; expected a number of attempts from 0 to 5',
  ],
  [
    'a pause fits under its maximum',
    '{ upstream: web, retries: { backoff: 1s } }',
    'retries.backoff: 1s is larger than max_backoff (250ms); expected at most max_backoff',
  ],
  [
    'Retry-After is looked at with statuses',
    '{ upstream: web, retries: { retry_after: 1s } }',
    'retries.retry_after: has no meaning where no status is repeated; expected statuses beside it',
  ],
  [
    'hedging has room',
    '{ upstream: web, hedge: { min_delay: 2s } }',
    'hedge.min_delay: 2s is larger than max_delay (1s); expected at most max_delay',
  ],
  [
    'a queue is in front of a limit',
    '{ upstream: web, limits: { queue: 5 } }',
    'limits.queue: has no meaning without a limit; expected in_flight beside it',
  ],
  [
    'a shared limit is kept somewhere',
    '{ upstream: web, limits: { rate: [{ requests: 1, shared: true }] } }',
    'limits.rate[0].shared: true has nowhere to count; expected a store beside routes',
  ],
  [
    'a limit of one edge does not depend on the store',
    '{ upstream: web, limits: { rate: [{ requests: 1, on_store_failure: pass }] } }',
    'limits.rate[0].on_store_failure: has no meaning where nothing is shared; expected shared: true',
  ],
  [
    'a rate has a number',
    '{ upstream: web, limits: { rate: [{}] } }',
    'limits.rate[0].requests: is missing; expected a whole number from 1 to 1000000000',
  ],
  [
    'limits have names of their own',
    '{ upstream: web, limits: { rate: [{ name: a, requests: 1 }, { name: a, requests: 2 }] } }',
    'limits.rate[1].name: "a" stands already in routes[0].limits.rate[0]; expected each rate limit to have its own',
  ],
  [
    'keys of limits are known',
    '{ upstream: web, limits: { rate: [{ requests: 1, by: [ip] }] } }',
    'limits.rate[0].by[0]: "ip" is not acceptable; expected client (or client/24, client/24,56 for prefixes of IPv4 and IPv6; 32 and 64 where they are left out), header:NAME, cookie:NAME, query:NAME, certificate:FACT (fingerprint, subject, dns, uri and others), path, authority, method, connection, tenant or route',
  ],
  [
    'an empty allow is not everyone',
    '{ upstream: web, access: { allow: [] } }',
    'access.allow: a list has no entry; expected a list with at least one entry; to admit nobody, deny: [0.0.0.0/0, "::/0"]',
  ],
  [
    'no methods are not all methods',
    '{ upstream: web, match: { methods: [] } }',
    'match.methods: a list has no entry; expected a list with at least one entry; all methods, where the key is left out',
  ],
  [
    'no networks are not all networks',
    '{ upstream: web, match: { networks: [] } }',
    'match.networks: a list has no entry; expected a list with at least one entry; any client, where the key is left out',
  ],
  [
    'an idle timeout is not shorter than what a slow network needs',
    '{ upstream: web, timeouts: { idle: 99ms } }',
    'timeouts.idle: "99ms" lies outside 100ms to 24h; expected a duration from 100ms to 24h, such as 250ms, 10s, 5m or 1h',
  ],
  [
    'a replacement is a path with a query or without',
    '{ upstream: web, rewrite: { regex: "^/a", replacement: "/b#c" } }',
    'rewrite.replacement: "/b#c" is not acceptable; expected a path, with ? and a query or without, with $1 to $9 for the groups of the pattern',
  ],
  [
    'a backend is told a host',
    '{ upstream: web, host: "*.a.test" }',
    'host: "*.a.test" is not acceptable; expected keep, backend, or a host name with or without a port',
  ],
  [
    'Via has a name, and neither the protocol nor a comment',
    '{ upstream: web, via: "3 edge (x)" }',
    'via: "3 edge (x)" is not acceptable; expected a name of letters, digits, dots and dashes, with or without a port, such as edge or edge.example.com:443',
  ],
  [
    'trust in forwarded fields moved to the listener',
    '{ upstream: web, forwarded: { trust: true } }',
    "forwarded.trust: is not a key any more; expected the proxies in the listener's trusted_networks, whose fields forwarded.trusted appends to",
  ],
];

for (const [title, route, ...complaints] of MISTAKES) {
  t.test(title, async (t) => {
    t.same(await mistakes(t, route), complaints);
  });
}

t.test('routes with the same match differ in their methods, or are refused', async (t) => {
  const route = (match: string): string => `  - { match: ${match}, upstream: web }\n`;
  t.same(
    await problemsOf(t, `${PLAIN}${route('{ path: /a }')}${route('{ path: /a, methods: GET }')}${route('{ path: /a, methods: [POST] }')}`),
    [],
  );
  const lines = await problemsOf(t, `${PLAIN}${route('{ path: /a, methods: [GET, POST] }')}${route('{ path: /a, methods: [POST, PUT] }')}`);
  t.equal(lines.length, 1);
  t.match(lines[0], /routes\[2\]\.match: "POST,PUT \* \/a" stands already in routes\[1\]/);
});

t.test('routes with the same match differ in their conditions, in whatever order these are written', async (t) => {
  const route = (headers: string): string => `  - { match: { headers: { ${headers} } }, upstream: web }\n`;
  t.same(await problemsOf(t, `${PLAIN}${route('a: 1')}${route('a: 2')}${route('a: 1, b: 1')}`), []);
  t.match(
    (await problemsOf(t, `${PLAIN}${route('a: 1, b: 1')}${route('B: 1, A: 1')}`))[0],
    /routes\[2\]\.match: .* stands already in routes\[1\]/,
  );
});

t.test('an upstream that is only fallen back to is used', async (t) => {
  const text = plainWith('upstream: web }', 'upstream: web, fallback: { upstream: spare } }');
  t.same(await problemsOf(t, text.replace('routes:', '  spare: { backends: [{ url: "h2c://127.0.0.1:9002" }] }\nroutes:')), []);
});

/** Warnings of the plain configuration with another route beside its own. */
async function warnings(t: import('tap').Test, route: string): Promise<string[]> {
  const lines = await problemsOf(t, `${PLAIN}  - ${route}\n`);
  return lines.map((line) => line.replace(/^edge\.yaml:\d+:\d+: warning: routes\[1\]\./, ''));
}

t.test('a path with a star is warned of: it stands for itself', async (t) => {
  t.same(await warnings(t, '{ match: { path: /a/* }, upstream: web }'), [
    'match.path: "/a/*" has a *, which stands for nothing but itself here; expected /a, which takes all that lies below it, or path_regex',
  ]);
});

t.test('a pattern that can match no path is warned of, and one that can is not', async (t) => {
  for (const pattern of [
    '/search\\?q=.*',
    'v[0-9]+/.*',
    '',
    '/a b',
    '/a$b',
    '/a^b',
    '/\u00e9',
    '^$',
    '/#.*',
    '[^/].*',
    '/a\\?(b|c)',
  ].filter((pattern) => pattern !== '')) {
    const [line = 'no warning'] = await warnings(t, `{ match: { path_regex: ${JSON.stringify(pattern)} }, upstream: web }`);
    t.match(line, /^match\.path_regex: .* matches no path: a path begins with \/, has neither query nor blanks/, pattern);
  }
  for (const pattern of [
    '/v[0-9]+/orders/.*',
    '^/a$',
    '.*',
    '(?i)/ABC',
    '/search\\??q',
    '(/a)+',
    '[^a]b',
    '/\\bx',
    '(x|/y)',
    '/%2F.*',
    '/(?:a|b )c?',
  ]) {
    t.same(await warnings(t, `{ match: { path_regex: ${JSON.stringify(pattern)} }, upstream: web }`), [], pattern);
  }
});

t.test('a rewrite that is found in no path is warned of', async (t) => {
  const rewrite = (regex: string) =>
    warnings(t, `{ match: { path: /a }, upstream: web, rewrite: { regex: ${JSON.stringify(regex)}, replacement: /b } }`);
  t.same(await rewrite('\\?old=.*'), [
    'rewrite.regex: "\\\\?old=.*" is found in no path: a path has neither query nor blanks; expected a pattern of the path alone',
  ]);
  for (const regex of ['users', 'x$', '^/a', 'b?']) t.same(await rewrite(regex), [], regex);
});

t.test('upstreams may be left out where every route answers by itself', async (t) => {
  const text = PLAIN.replace(/upstreams:[\s\S]*?routes:/, 'routes:');
  t.same(await problemsOf(t, text.replace('upstream: web', 'respond: { body: hello }')), []);
  t.match(await problemsOf(t, text), [/error: routes\[0\]\.upstream: "web" is not an upstream; expected one to be configured$/]);
});

const NEVER: readonly (readonly [route: string, ...warnings: string[]])[] = [
  [
    'upstream: web, retries: { attempts: 0, statuses: [503], grpc_statuses: [unavailable] }',
    'retries.statuses: never acts: retries.attempts is 0; expected attempts of 1 or more, or fallback.statuses',
    'retries.grpc_statuses: never acts: retries.attempts is 0; expected attempts of 1 or more, or fallback.statuses',
  ],
  [
    'upstream: web, retries: { attempts: 0, methods: [POST] }',
    'retries.methods: never acts: retries.attempts is 0, and there is neither hedge nor fallback.upstream; expected attempts of 1 or more',
  ],
  ['upstream: web, retries: { attempts: 0, methods: [POST] }, fallback: { upstream: one }'],
  ['upstream: web, retries: 0, hedge: {}'],
  [
    'upstream: one, hedge: {}',
    'hedge: never acts: there is no second backend to send it to; expected an upstream with two backends or more',
  ],
  [
    'upstream: stuck, hedge: {}',
    'hedge: never acts: requests stick to their backend by cookie (upstreams.stuck.balance.sticky); expected one of the two',
  ],
  [
    'match: { path: /a, methods: [POST, PATCH] }, upstream: web, hedge: {}',
    'hedge: never acts: the route takes no method that may be sent twice; expected GET or another idempotent method, or retries.methods',
  ],
  ['match: { path: /a, methods: [POST] }, upstream: web, hedge: {}, retries: { methods: POST }'],
  [
    'upstream: web, hedge: { delay: 2s }, timeouts: { exchange: 2s }',
    'hedge: never acts: timeouts.exchange (2s) passes first; expected a delay shorter than timeouts.exchange',
  ],
  [
    'upstream: web, hedge: { min_delay: 1s }, timeouts: { attempt: 500ms }',
    'hedge: never acts: timeouts.attempt (500ms) passes first; expected a delay shorter than timeouts.attempt',
  ],
  [
    'match: { path: /a, methods: POST }, upstream: web, fallback: { upstream: one, statuses: 503 }',
    'fallback.statuses: never acts: the route takes no method that may be sent again to another upstream; expected retries.methods, or fallback.respond',
  ],
  ['match: { path: /a, methods: POST }, upstream: web, fallback: { respond: {}, statuses: 503 }'],
  [
    'upstream: web, timeouts: { attempt: 5s, exchange: 5s }',
    'timeouts.attempt: never acts: timeouts.exchange (5s) passes first; expected less than timeouts.exchange',
  ],
];

for (const [route, ...expected] of NEVER) {
  t.test(`what can never act is warned of: ${route}`, async (t) => {
    const more =
      '  one: { backends: [{ url: "h2c://127.0.0.1:9002" }] }\n  stuck:\n    backends: [{ url: "h2c://127.0.0.1:9003" }, { url: "h2c://127.0.0.1:9004" }]\n    balance: { sticky: { key: 0123456789abcdef0123456789abcdef } }\n';
    const own = route.includes('match:') ? route : `match: { path: /a }, ${route}`;
    const lines = await problemsOf(t, `${PLAIN.replace('routes:', `${more}routes:`)}  - { ${own} }\n`);
    const about = lines.filter((line) => !line.includes('is not used by any route'));
    t.same(
      about.map((line) => line.replace(/^edge\.yaml:\d+:\d+: warning: routes\[1\]\./, '')),
      expected,
    );
  });
}

t.test('every warning of what can never act is a row of resilience.md', async (t) => {
  const page = readFileSync(new URL('../../docs/resilience.md', import.meta.url), 'utf8');
  const table = page.slice(page.indexOf('## What can never act'), page.indexOf('## In overload'));
  t.equal([...table.matchAll(/^\| `/gm)].length, 8);
  for (const key of NEVER.flatMap(([, ...lines]) => lines.map((line) => line.split(':', 1)[0] ?? ''))) t.match(table, `\`${key}\``, key);
});
