import { copyFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { loadSnapshot } from '../../src/config/load.ts';
import { PLAIN, plainWith, problemsOf, writeConfiguration } from './support/configuration.ts';

const listener = (name: string, address: string): string => `  - name: ${name}
    address: "${address}"
    certificates: [{ names: [localhost], chain: certs/dev.pem, key: certs/dev.key }]
`;

t.test('listeners have names and addresses of their own', async (t) => {
  const text = plainWith('admin:', `${listener('public', '127.0.0.1:8443')}admin:`);
  const lines = await problemsOf(t, text);
  t.equal(lines.length, 2);
  t.match(lines[0], /listeners\[1\]\.name: "public" stands already in listeners\[0\]/);
  t.match(lines[1], /listeners\[1\]\.address: "127\.0\.0\.1:8443" stands already in listeners\[0\]/);
});

t.test('two spellings of one IPv6 address are one address, and free ports are many', async (t) => {
  const same = plainWith('admin:', `${listener('a', '[::1]:8444')}${listener('b', '[0:0:0:0:0:0:0:1]:8444')}admin:`);
  t.match((await problemsOf(t, same))[0], /listeners\[2\]\.address: "\[::1\]:8444" stands already/);
  t.same(await problemsOf(t, plainWith('admin:', `${listener('a', '127.0.0.1:0')}${listener('b', '127.0.0.1:0')}admin:`)), []);
});

t.test('a block of trusted proxies has one field, and there are not more fields than a lane tells apart', async (t) => {
  const trusting = (networks: string) => plainWith('address: 127.0.0.1:8443', `address: 127.0.0.1:8443\n    trusted_networks: ${networks}`);
  const lines = await problemsOf(t, trusting('[10.0.0.0/8, 10.0.0.1, { network: 10.1.2.3/8, field: forwarded }]'));
  t.equal(lines.length, 1);
  t.match(
    lines[0],
    /listeners\[0\]\.trusted_networks\[2\]\.network: "10\.0\.0\.0\/8" has forwarded, and trusted_networks\[0\] has x-forwarded-for; expected one field for a block/,
  );
  const many = Array.from({ length: 8 }, (_, i) => `{ network: 10.0.0.${i}, field: x-client-${i} }`);
  t.same(await problemsOf(t, trusting(`[${many.slice(0, 7).join(', ')}]`)), []);
  t.match(await problemsOf(t, trusting(`[${many.join(', ')}]`)), [
    /trusted_networks\[7\]\.field: "x-client-7" is a further field .* 7 different ones at most/,
  ]);
  const mistakes = await problemsOf(
    t,
    trusting('[10.0.0.0/33, { network: 10.0.0.1, field: x_real_ip }, { field: forwarded }, { network: ::1, field: host }]'),
  );
  t.match(mistakes, [
    /trusted_networks\[0\]: "10\.0\.0\.0\/33" is not acceptable; expected an address or a CIDR block/,
    /trusted_networks\[1\]\.field: "x_real_ip" has an underscore/,
    /trusted_networks\[2\]\.network: is missing/,
    /trusted_networks\[3\]\.field: "host" is set by/,
  ]);
  t.equal(mistakes.length, 4);
});

t.test('a route names an upstream that exists', async (t) => {
  t.same(await problemsOf(t, plainWith('upstream: web', 'upstream: wbe')), [
    'edge.yaml:8:3: warning: upstreams.web: is not used by any route',
    'edge.yaml:12:37: error: routes[0].upstream: "wbe" is not an upstream; did you mean web?',
  ]);
});

t.test('two routes with the same match are one too many, whatever the spelling', async (t) => {
  const twice = `${PLAIN}  - { match: { host: A.Test. }, upstream: web }\n  - { match: { host: a.test, path: / }, upstream: web }\n`;
  const lines = await problemsOf(t, twice);
  t.equal(lines.length, 1);
  t.match(lines[0], /routes\[2\]\.match: "a\.test \/" stands already in routes\[1\]/);
});

t.test('an exact path and a prefix of the same text are two routes', async (t) => {
  t.same(await problemsOf(t, `${PLAIN}  - { match: { path: /, exact: true }, upstream: web }\n`), []);
});

t.test('route names are unique', async (t) => {
  const twice = `${PLAIN}  - { name: a, match: { path: /a }, upstream: web }\n  - { name: a, match: { path: /b }, upstream: web }\n`;
  t.match((await problemsOf(t, twice))[0], /routes\[2\]\.name: "a" stands already in routes\[1\]/);
});

t.test('an upstream with only weights of 0 is refused', async (t) => {
  const text = plainWith('weight: 100 }, { url: "h2c://127.0.0.1:9001" }', 'weight: 0 }');
  t.match((await problemsOf(t, text))[0], /upstreams\.web\.backends: has only weights of 0/);
});

t.test('a backend stands once in its upstream', async (t) => {
  t.match(
    (await problemsOf(t, plainWith('127.0.0.1:9001', '127.0.0.1:9000')))[0],
    /backends\[1\]\.url: .* stands already in backends\[0\]/,
  );
});

t.test('options of TLS need TLS', async (t) => {
  const name = plainWith('{ url: "h2c://127.0.0.1:9001" }', '{ url: "h2c://127.0.0.1:9001", server_name: a.test }');
  t.match((await problemsOf(t, name))[0], /backends\[1\]\.server_name: has no meaning without TLS; expected an https:\/\/ backend/);
  const ca = plainWith('balance: { policy: peak-ewma }', 'tls: { verify: false, ca: certs/ca.pem }');
  const lines = await problemsOf(t, ca);
  t.equal(lines.length, 2);
  t.match(lines[0], /upstreams\.web\.tls\.verify: has no meaning without TLS/);
  t.match(lines[1], /upstreams\.web\.tls\.ca: has no meaning without TLS/);
});

t.test('TLS without verification is allowed and warned of', async (t) => {
  const text = plainWith('balance: { policy: peak-ewma }', 'tls: { verify: false }').replaceAll('h2c:', 'https:');
  t.match((await problemsOf(t, text))[0], /warning: upstreams\.web\.tls\.verify: leaves the certificates of these backends unverified/);
});

t.test('the admin API is reachable from outside only with a token', async (t) => {
  const admin = (text: string): string => plainWith('{ address: 127.0.0.1:9901 }', text);
  for (const address of ['0.0.0.0:9901', '"[::]:9901"', '192.0.2.1:9901']) {
    t.match(
      (await problemsOf(t, admin(`{ address: ${address} }`)))[0],
      /admin\.address: .* can be reached from outside without a token/,
      address,
    );
  }
  for (const text of [
    '{ address: "[::1]:9901" }',
    '{ address: 127.9.9.9:1 }',
    '{ address: off }',
    '{ address: 0.0.0.0:9901, token: 0123456789abcdef }',
  ]) {
    t.same(await problemsOf(t, admin(text)), [], text);
  }
});

t.test('a token comes from one place', async (t) => {
  const text = plainWith('{ address: 127.0.0.1:9901 }', '{ token: 0123456789abcdef, token_file: edge.yaml }');
  t.match((await problemsOf(t, text))[0], /admin\.token_file: stands beside token; expected only one/);
});

t.test('the window of a stream fits into that of its connection', async (t) => {
  const text = plainWith('    certificates:', '    quic: { stream_window: 16MiB }\n    certificates:');
  t.match((await problemsOf(t, text))[0], /quic\.stream_window: 16MiB is larger than connection_window \(8MiB\)/);
  const pool = plainWith('balance: { policy: peak-ewma }', 'pool: { stream_window: 16MiB }');
  t.match((await problemsOf(t, pool))[0], /pool\.stream_window: 16MiB is larger than session_window \(8MiB\)/);
});

t.test('a certificate of a listener does not answer twice for the same name', async (t) => {
  const one = '{ names: [localhost], chain: certs/dev.pem, key: certs/dev.key }';
  t.match(
    (await problemsOf(t, plainWith(one, `${one}, ${one}`)))[0],
    /certificates\[1\]\.names\[0\]: "localhost" stands already in certificates\[0\]/,
  );
  // Another chain may, such as that of another kind of key.
  const file = writeConfiguration(t, plainWith(one, `${one}, ${one.replace('dev.pem', 'other.pem')}`));
  copyFileSync(join(dirname(file), 'certs/dev.pem'), join(dirname(file), 'certs/other.pem'));
  t.same((await loadSnapshot(file)).problems, []);
});

t.test('the probes have an address of their own or none', async (t) => {
  const probes = (address: string) => plainWith('address: 127.0.0.1:9901', `address: 127.0.0.1:9901, probes: { address: "${address}" }`);
  t.same(await problemsOf(t, probes('0.0.0.0:9902')), []);
  t.match(await problemsOf(t, probes('127.0.0.1:9901')), [/admin\.probes\.address: "127\.0\.0\.1:9901" stands already in admin\.address/]);
});
