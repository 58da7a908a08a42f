import t from 'tap';
import { load, plainWith, problemsOf } from './support/configuration.ts';

const BACKENDS = '[{ url: "h2c://127.0.0.1:9000", weight: 100 }, { url: "h2c://127.0.0.1:9001" }]';

/**
 * Problems of the plain configuration with more keys in its upstream, without file and position.
 */
async function mistakes(t: import('tap').Test, keys: string, backends = BACKENDS): Promise<string[]> {
  const text = plainWith('    balance: { policy: peak-ewma }\n', `    ${keys}\n`).replace(BACKENDS, backends);
  return (await problemsOf(t, text)).map((line) => line.replace(/^edge\.yaml:\d+:\d+: error: upstreams\.web\./, ''));
}

const MISTAKES: readonly (readonly [title: string, keys: string, complaint: string, backends?: string])[] = [
  [
    'what hashes has something to hash',
    'balance: { policy: maglev }',
    'balance.policy: "maglev" has no keys to hash; expected balance.keys beside it, such as [client]',
  ],
  [
    'what does not hash has no keys',
    'balance: { policy: random, keys: client }',
    'balance.keys: has no meaning with random; expected ring-hash or maglev as policy',
  ],
  [
    'a Maglev table has a prime size',
    'balance: { table_size: 1000 }',
    'balance.table_size: 1000 is no prime; expected a prime such as 65537',
  ],
  [
    'a Maglev table has room for all',
    'balance: { policy: maglev, keys: path, table_size: 3 }',
    'balance.table_size: 3 has no room for every backend; expected at least 4, better a hundred times as much',
    '["a", "b", "c", "d"]'.replace(/"(.)"/g, '{ url: "h2c://$1.test" }'),
  ],
  [
    'a path for cookies is short',
    `balance: { sticky: { path: /${'p'.repeat(1_024)} } }`,
    `balance.sticky.path: "/${'p'.repeat(55)}... is not acceptable; expected a path that begins with / and has no query, fragment, dot segment or unescaped character, of up to 1,024 bytes`,
  ],
  [
    'a secret for cookies is long',
    'balance: { sticky: { key: short } }',
    'balance.sticky.key: is not acceptable; expected at least 32 characters without spaces',
  ],
  [
    'a secret comes from one place',
    `balance: { sticky: { key: ${'k'.repeat(32)}, key_file: edge.yaml } }`,
    'balance.sticky.key_file: stands beside key; expected exactly one of key and key_file',
  ],
  [
    'sticking to a connection needs no secret',
    `balance: { sticky: { by: connection, key: ${'k'.repeat(32)} } }`,
    'balance.sticky.key: has no meaning without a cookie; expected by: cookie',
  ],
  [
    'a share is at most the whole',
    'max_ejected: 120%',
    'max_ejected: "120%" lies outside the range; expected a number from 0 to 1, or 0% to 100%',
  ],
  ['a share is a number', 'panic_below: most', 'panic_below: "most" is not a share; expected none or a number from 0 to 1, or 0% to 100%'],
  [
    'an ejection fits under its maximum',
    'breaker: { eject: 10m }',
    'breaker.eject: 10m is larger than max_eject (5m); expected at most max_eject',
  ],
  [
    'what counts as failure is known',
    'breaker: { failures: [error] }',
    'breaker.failures[0]: "error" is not acceptable; expected one of connect, reset, timeout',
  ],
  [
    'failing backends are not asked less often',
    'health: { interval: 500ms }',
    'health.failing_interval: 1s is larger than interval (500ms); expected at most interval',
  ],
  [
    'HTTP/3 checks need TLS',
    'health: { protocol: h3 }',
    'health.protocol: "h3" needs TLS; expected h2, http/1.1 or auto, or only https:// backends',
  ],
  [
    'the protocol of checks is told where backends speak different ones',
    'health: {}',
    'health.protocol: cannot be told from backends of which some speak HTTP/1.1 only; expected http/1.1 or h2',
    '[{ url: "http://a.test" }, { url: "h2c://b.test" }]',
  ],
  [
    'HEAD has no body to look at',
    'health: { method: HEAD, body: ok }',
    'health.body: has no meaning with HEAD, which has no body; expected method: GET',
  ],
  [
    'a limit begins between its bounds',
    'limits: { adaptive: { initial: 2 } }',
    'limits.adaptive.min: 4 is larger than initial (2); expected at most initial',
  ],
  [
    'low priority is shed first',
    'limits: { adaptive: { brownout: { low: 0.95 } } }',
    'limits.adaptive.brownout.low: 0.95 is larger than normal (0.9); expected at most normal',
  ],
  [
    'who waits in a line that does not end waits no longer than in another',
    'limits: { overload: { standing_wait: 6s } }',
    'limits.overload.standing_wait: 6s is larger than max_wait (5s); expected at most max_wait',
  ],
  [
    'labels are names',
    'pool: {}',
    'backends[0].labels.version: "a b" is not acceptable; expected a name of up to 64 letters, digits, dots, dashes and underscores that begins with a letter or digit',
    '[{ url: "h2c://a.test", labels: { version: a b } }]',
  ],
  [
    'a number of failures is a number',
    'breaker: { consecutive: never }',
    'breaker.consecutive: "never" is not acceptable; expected auto, none or a whole number from 1 to 10000',
  ],
];

for (const [title, keys, complaint, backends] of MISTAKES) {
  t.test(title, async (t) => {
    t.same(await mistakes(t, keys, backends), [complaint]);
  });
}

t.test('a queue waits for an adaptive limit too', async (t) => {
  t.same(await mistakes(t, 'limits: { queue: 5, adaptive: {} }'), []);
});

t.test('a zone without a backend is warned of', async (t) => {
  t.match((await mistakes(t, 'locality: { zone: eu }'))[0], /warning: upstreams\.web\.locality\.zone: "eu" is the zone of no backend/);
});

t.test('sticky cookies without a secret are warned of, and sealed with a key that stays for the process', async (t) => {
  const text = plainWith('balance: { policy: peak-ewma }', 'balance: { sticky: {} }');
  const keyOf = async (): Promise<Uint8Array | undefined> => (await load(t, text)).snapshot?.upstreams[0]?.balance.sticky?.key;
  t.match((await problemsOf(t, text))[0], /warning: upstreams\.web\.balance\.sticky: has no key: cookies are forgotten at a restart/);
  const key = await keyOf();
  t.equal(key?.length, 32);
  t.not(Buffer.from(key ?? []).toString('hex'), '00'.repeat(32));
  t.same(await keyOf(), key);
});
