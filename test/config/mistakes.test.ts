import t from 'tap';
import { plainWith, problemsOf } from './support/configuration.ts';

t.test('all mistakes of all kinds come at once, in the order of the file', async (t) => {
  const lines = await problemsOf(
    t,
    `version: 1
listners: []
listeners:
  - name: public
    adress: 127.0.0.1:8443
    certificates: [{ names: [localhost, a.test], chain: certs/dev.pem, key: nowhere.key }]
    quic: { idle_timeout: 30, max_streams: 0, gso: yes }
  - 7
upstreams:
  web:
    backends: [{ url: "ftp://x" }, { url: "h2c://127.0.0.1:9000", server_name: a.test }]
    balance: { policy: peak-emwa }
routes:
  - { match: { path: x }, upstream: web }
  - { match: { path: /a }, upstream: wbe }
  - { match: { path: /a }, upstream: web, max_body: much }
admin: { address: 0.0.0.0:9901 }
drain: { timeout: -1s }
`,
  );
  t.same(
    lines.map((line) => line.replace(/^edge\.yaml:(\d+):\d+: error: (.*?): .*$/, '$1 $2')),
    [
      '2 listners',
      '4 listeners[0].address',
      '5 listeners[0].adress',
      '6 listeners[0].certificates[0].names[1]',
      '6 listeners[0].certificates[0].key',
      '7 listeners[0].quic.idle_timeout',
      '7 listeners[0].quic.max_streams',
      '7 listeners[0].quic.gso',
      '8 listeners[1]',
      '11 upstreams.web.backends[0].url',
      '11 upstreams.web.backends[1].server_name',
      '12 upstreams.web.balance.policy',
      '14 routes[0].match.path',
      '15 routes[1].upstream',
      '16 routes[2].match',
      '16 routes[2].max_body',
      '17 admin.address',
      '18 drain.timeout',
    ],
    lines.join('\n'),
  );
});

t.test('a mistake names file, line, column, path, value and expectation', async (t) => {
  const lines = await problemsOf(t, plainWith('weight: 100', 'weight: -5'));
  t.same(lines, [
    'edge.yaml:9:55: error: upstreams.web.backends[0].weight: -5 lies outside the range; expected a whole number from 0 to 10000',
  ]);
});

t.test('a misspelled key is answered with the right one', async (t) => {
  const lines = await problemsOf(t, plainWith('balance:', 'ballance:'));
  t.same(lines, ['edge.yaml:10:5: error: upstreams.web.ballance: is not a key here; did you mean balance?']);
  const camel = await problemsOf(t, plainWith('balance: { policy: peak-ewma }', 'pool: { idleTimeout: 1m }'));
  t.same(camel, ['edge.yaml:10:13: error: upstreams.web.pool.idleTimeout: is not a key here; did you mean idle_timeout?']);
});

t.test('an unknown key without a neighbour is answered with all of them', async (t) => {
  const lines = await problemsOf(t, plainWith('path: /', 'zzz: 1'));
  t.match(lines, [
    /^edge\.yaml:12:16: error: routes\[0\]\.match\.zzz: is not a key here; expected one of host, path, exact, path_regex, methods/,
  ]);
  t.equal(lines.length, 1);
});

t.test('a duration without unit and a quantity out of range say so', async (t) => {
  const quic = (value: string): string => plainWith('    certificates:', `    quic: { idle_timeout: ${value} }\n    certificates:`);
  t.match((await problemsOf(t, quic('30')))[0], /30 is a duration without a unit; expected a duration from 1s to 1h/);
  t.match((await problemsOf(t, quic('2h')))[0], /"2h" lies outside 1s to 1h/);
  t.match((await problemsOf(t, quic('soon')))[0], /"soon" is not a duration/);
  t.match((await problemsOf(t, quic('[1]')))[0], /a list is not acceptable/);
});

t.test('what must be there and is not is missing', async (t) => {
  const lines = await problemsOf(t, 'version: 1\n');
  t.same(
    lines.map((line) => line.replace(/;.*/, '')),
    ['listeners', 'routes'].map((key) => `edge.yaml:1:1: error: ${key}: is missing`),
  );
});

t.test('an empty list, an empty group and an empty section are told apart from missing ones', async (t) => {
  t.match((await problemsOf(t, plainWith('[{ names: [localhost], chain: certs/dev.pem, key: certs/dev.key }]', '[]')))[0], /has no entry/);
  t.match((await problemsOf(t, plainWith('admin: { address: 127.0.0.1:9901 }', 'admin:')))[0], /^edge\.yaml:6:\d+: error: admin: is empty/);
});

t.test('a secret is never repeated', async (t) => {
  const lines = await problemsOf(t, plainWith('{ address: 127.0.0.1:9901 }', '{ token: hunter2 }'));
  t.equal(lines.length, 1);
  t.notMatch(lines[0], /hunter2/);
});

t.test('a version of the future is refused', async (t) => {
  t.same(await problemsOf(t, plainWith('version: 1', 'version: 2')), [
    'edge.yaml:1:10: error: version: 2 is not acceptable; expected version: 1',
  ]);
});

t.test('the name of an upstream obeys the rule of names', async (t) => {
  const text = plainWith('  web:', '  "my web":').replace('upstream: web', 'upstream: "my web"');
  t.match((await problemsOf(t, text))[0], /^edge\.yaml:8:3: error: upstreams\["my web"\]: is not acceptable as a name/);
});
