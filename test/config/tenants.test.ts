import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { loadSnapshot } from '../../src/config/load.ts';
import { formatProblem } from '../../src/config/problem.ts';
import { PLAIN, plainWith, problemsOf, writeConfiguration } from './support/configuration.ts';

async function mistakes(t: import('tap').Test, more: string, text = PLAIN): Promise<string[]> {
  return (await problemsOf(t, `${text}${more}\n`)).map((line) => line.replace(/^edge\.yaml:\d+:\d+: /, ''));
}

const OWN = '  - { match: { tenant: a }, upstream: web }\n';

t.test('a tenant is told in one way', async (t) => {
  t.same(await mistakes(t, 'tenants: { a: {} }', PLAIN + OWN), [
    'error: tenants.a.hosts: is missing; expected exactly one of hosts, header, path and client_certificate',
  ]);
  t.same(await mistakes(t, 'tenants: { a: { hosts: a.test, path: /a } }', PLAIN + OWN), [
    'error: tenants.a.path: stands beside hosts; expected exactly one of hosts, header, path and client_certificate',
  ]);
  t.same(await mistakes(t, 'tenants: { a: { path: /a, value: b } }', PLAIN + OWN), [
    'error: tenants.a.value: has no meaning without header or client_certificate; expected one of them beside it',
  ]);
});

t.test('two tenants are not told by the same thing', async (t) => {
  const lines = await mistakes(t, 'tenants: { a: { hosts: [a.test] }, b: { hosts: [b.test, A.test.] } }', PLAIN + OWN);
  t.same(lines[0], 'warning: tenants.b: has no route, so that its requests get 404');
  t.same(lines[1], 'error: tenants.b.hosts[1]: "a.test" stands already in tenants.a; expected each tenant to have its own');
});

t.test('the same path in two tenants is two routes', async (t) => {
  const more = `${OWN}  - { match: { tenant: b }, upstream: web }\ntenants: { a: { header: x-t }, b: { header: x-t } }`;
  t.same(await mistakes(t, more), []);
});

t.test('rate limits that may come to take much memory are warned of', async (t) => {
  const route = (path: string): string =>
    `  - { match: { path: ${path} }, upstream: web, limits: { rate: [{ by: client, requests: 1, max_keys: 10000000 }] } }\n`;
  const paths = ['/a', '/b', '/c', '/d', '/e', '/f', '/g'];
  t.same(await mistakes(t, '', PLAIN + paths.slice(0, 6).map(route).join('')), []);
  t.same(await mistakes(t, '', PLAIN + paths.map(route).join('')), [
    'warning: routes: have rate limits whose buckets may come to take 1.0 GiB; a smaller max_keys takes less',
  ]);
});

t.test('a store is somewhere, and of use', async (t) => {
  t.same(await mistakes(t, 'store: {}'), [
    'warning: store: is not used, as no limit is shared',
    'error: store.url: is missing; expected exactly one of url and url_file',
  ]);
  t.same(await mistakes(t, 'store: { url: "memcached://a" }'), [
    'error: store.url: is not acceptable; expected a URL such as redis://127.0.0.1:6379/0, or rediss:// for TLS',
  ]);
});

t.test('the address of the store can come from a file and is never repeated', async (t) => {
  const text = plainWith('upstream: web }', 'upstream: web, limits: { rate: [{ requests: 1, shared: true }] } }');
  const file = writeConfiguration(t, `${text}store: { url_file: store.url }\n`);
  writeFileSync(join(dirname(file), 'store.url'), 'rediss://:hunter2@a.test\n', { mode: 0o600 });
  const { snapshot, problems } = await loadSnapshot(file);
  t.same(problems, []);
  t.equal(snapshot?.store?.url, 'rediss://:hunter2@a.test');
  writeFileSync(join(dirname(file), 'store.url'), 'hunter2');
  const refused = (await loadSnapshot(file)).problems.map(formatProblem).join('\n');
  t.match(refused, /store\.url_file: holds no usable URL/);
  t.notMatch(refused, /hunter2/);
});

t.test('options of the limit of connections by client need the limit, and it is within that of the listener', async (t) => {
  const withLimit = (options: string): Promise<string[]> =>
    problemsOf(t, plainWith('    certificates:', `    ${options}\n    certificates:`));
  t.match(await withLimit('per_client: { by: "client/24", exempt: 10.0.0.0/8 }'), [
    /per_client\.by: has no meaning without a limit; expected per_client\.max_connections/,
    /per_client\.exempt: has no meaning without a limit; expected per_client\.max_connections/,
  ]);
  t.match(await withLimit('max_connections: 10\n    per_client: { max_connections: 11 }'), [
    /per_client\.max_connections: 11 is larger than the listener's max_connections \(10\)/,
  ]);
  for (const by of ['path', 'client/33', 'header:x-user']) {
    t.match(
      await withLimit(`per_client: { max_connections: 5, by: "${by}" }`),
      [/per_client\.by: .* expected client, client\/24 or client\/24,56/],
      by,
    );
  }
  t.match(await withLimit('per_client: { max_connections: 5, exempt: [10.0.0.0/33] }'), [
    /per_client\.exempt\[0\]: .* expected an address or a CIDR block/,
  ]);
  t.same(await withLimit('per_client: { max_connections: none }'), []);
});

t.test('options of normalisation need normalisation', async (t) => {
  const text = plainWith('    certificates:', '    normalise: { enabled: false, escaped_slashes: reject }\n    certificates:');
  t.match(
    (await problemsOf(t, text))[0],
    /normalise\.escaped_slashes: has no meaning without normalisation; expected normalise\.enabled: true/,
  );
});
