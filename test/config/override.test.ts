import t from 'tap';
import { allKeys, environmentName, flagName, settableKeys } from '../../src/config/keys.ts';
import { load, PLAIN, plainWith, problemsOf } from './support/configuration.ts';

const FILE = plainWith('admin: { address: 127.0.0.1:9901 }', 'drain: { timeout: 20s }');

t.test('a flag wins over the environment, the environment over the file, the file over the default', async (t) => {
  const env = { LYCHGATE_DRAIN_TIMEOUT: '40s' };
  const flags = { 'drain.timeout': '50s' };
  const timeout = async (content: string, outside: object): Promise<number | undefined> =>
    (await load(t, content, outside)).snapshot?.drain.timeoutMs;
  t.equal(await timeout(PLAIN, {}), 30_000);
  t.equal(await timeout(FILE, {}), 20_000);
  t.equal(await timeout(FILE, { env }), 40_000);
  t.equal(await timeout(FILE, { env, flags }), 50_000);
  t.equal(await timeout(FILE, { flags }), 50_000);
});

t.test('every kind of value can be set from outside', async (t) => {
  const { snapshot, problems } = await load(t, FILE, {
    env: {
      LYCHGATE_SHARDS_COUNT: '3',
      LYCHGATE_LOG_ACCESS_SAMPLE: '0.25',
      LYCHGATE_LOG_ACCESS_ENABLED: 'false',
      LYCHGATE_LOG_LEVEL: 'debug',
      LYCHGATE_ADMIN_ADDRESS: 'off',
      LYCHGATE_ADMIN_TOKEN: '0123456789012345',
    },
  });
  t.same(problems, []);
  t.equal(snapshot?.shards.count, 3);
  t.equal(snapshot?.log.accessSample, 0.25);
  t.equal(snapshot?.log.isAccessLogged, false);
  t.equal(snapshot?.log.level, 'debug');
  t.equal(snapshot?.admin.address, '');
  t.equal(snapshot?.admin.token, '0123456789012345');
});

t.test('a mistake from outside names the variable or flag', async (t) => {
  const lines = await problemsOf(t, FILE, { env: { LYCHGATE_LOG_LEVEL: 'loud' }, flags: { 'drain.timeout': '5' } });
  t.equal(lines.length, 2);
  t.match(lines.join('\n'), /^environment LYCHGATE_LOG_LEVEL: error: log\.level: "loud" is not acceptable/m);
  t.match(lines.join('\n'), /^flag --drain-timeout: error: drain\.timeout: "5" is a duration without a unit/m);
});

t.test('an empty variable is one that is not set, nearly a key or not', async (t) => {
  const keys = settableKeys().map(environmentName);
  const env = Object.fromEntries([...keys, 'LYCHGATE_ADMIN_ADRESS'].map((name) => [name, '']));
  const { snapshot, problems } = await load(t, FILE, { env });
  t.same(problems, []);
  t.same(snapshot, (await load(t, FILE)).snapshot);
});

t.test('a secret in a flag is warned of, one in the environment or in a file is not', async (t) => {
  const secret = '0123456789abcdef';
  t.same(await problemsOf(t, FILE, { flags: { 'admin.token': secret } }), [
    'flag --admin-token: warning: admin.token: is a secret, and everyone on the machine can read command lines (ps); expected --admin-token-file, or LYCHGATE_ADMIN_TOKEN',
  ]);
  t.same(await problemsOf(t, FILE, { env: { LYCHGATE_ADMIN_TOKEN: secret } }), []);
});

t.test('a variable that is nearly a key is warned of', async (t) => {
  const lines = await problemsOf(t, FILE, { env: { LYCHGATE_ADMIN_ADRESS: 'x', LYCHGATE_CONFIG: 'y', LYCHGATE_SOMETHING_ELSE: 'z' } });
  t.same(lines, ['environment LYCHGATE_ADMIN_ADRESS: warning: sets nothing; did you mean LYCHGATE_ADMIN_ADDRESS?']);
});

t.test('an override does not hide that its section is no mapping', async (t) => {
  const lines = await problemsOf(t, plainWith('{ address: 127.0.0.1:9901 }', 'off'), { flags: { 'admin.address': 'off' } });
  t.match(lines[0], /^edge\.yaml:6:8: error: admin: "off" is not acceptable; expected a mapping/);
});

t.test('the names follow one rule and are all different', async (t) => {
  const keys = settableKeys();
  t.equal(new Set(keys.map(environmentName)).size, keys.length);
  t.equal(new Set(keys.map(flagName)).size, keys.length);
  const key = keys.find(({ name }) => name === 'admin.token_file');
  t.equal(key && environmentName(key), 'LYCHGATE_ADMIN_TOKEN_FILE');
  t.equal(key && flagName(key), '--admin-token-file');
});

t.test('keys of lists and named groups belong to the file', async (t) => {
  t.notOk(settableKeys().some(({ name }) => /^(listeners|upstreams|routes|version)/.test(name)));
  t.ok(allKeys().length > settableKeys().length);
});

t.test('the store can be named from outside, though the file says nothing of it', async (t) => {
  const text = plainWith('upstream: web }', 'upstream: web, limits: { rate: [{ requests: 1, shared: true }] } }');
  const { snapshot, problems } = await load(t, text, { env: { LYCHGATE_STORE_URL: 'redis://a.test', LYCHGATE_STORE_TIMEOUT: '5ms' } });
  t.same(problems, []);
  t.same(snapshot?.store, { kind: 'redis', url: 'redis://a.test', prefix: 'lychgate:', timeoutMs: 5 });
});
