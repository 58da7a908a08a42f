import t from 'tap';
import { diffConfigs } from '../../src/config/describe/diff.ts';
import type { Config } from '../../src/config/schema/config.ts';
import { validate } from '../../src/config/validate.ts';

function config(changes: Record<string, unknown> = {}): Config {
  const { config, complaints } = validate({
    version: 1,
    listeners: [{ name: 'public', address: '127.0.0.1:0', certificates: [{ names: ['localhost'], chain: 'a', key: 'b' }] }],
    upstreams: { web: { backends: [{ url: 'h2c://127.0.0.1:9000' }, { url: 'h2c://127.0.0.1:9001' }] } },
    routes: [{ name: 'shop', match: { path: '/shop' }, upstream: 'web' }, { upstream: 'web' }],
    ...changes,
  });
  if (config === undefined) throw new Error(JSON.stringify(complaints));
  return config;
}

t.test('the same configuration has no changes, however its routes and backends are ordered', async (t) => {
  t.same(diffConfigs(config(), config()), []);
  const moved = config({
    upstreams: { web: { backends: [{ url: 'h2c://127.0.0.1:9001' }, { url: 'h2c://127.0.0.1:9000' }] } },
    routes: [{ upstream: 'web' }, { name: 'shop', match: { path: '/shop' }, upstream: 'web' }],
  });
  t.same(diffConfigs(config(), moved), []);
});

t.test('changes are named by what they are of, with values as the file spells them', async (t) => {
  const after = config({
    upstreams: { web: { backends: [{ url: 'h2c://127.0.0.1:9000', weight: 7 }] } },
    routes: [
      { name: 'shop', match: { path: '/shop' }, upstream: 'web', timeouts: { head: '2s' } },
      { upstream: 'web' },
      { name: 'new', match: { path: '/new' }, upstream: 'web' },
    ],
  });
  const changes = diffConfigs(config(), after);
  t.same(
    changes.map(({ path }) => path),
    [
      'upstreams.web.backends["h2c://127.0.0.1:9000"].weight',
      'upstreams.web.backends["h2c://127.0.0.1:9001"]',
      'routes.shop.timeouts.head',
      'routes.new',
    ],
  );
  t.match(changes[0], { before: 100, after: 7 });
  t.notOk('after' in changes[1]!);
  t.match(changes[2], { before: '30s', after: '2s' });
  t.notOk('before' in changes[3]!);
});

t.test('that a secret is another one is told, and neither of them', async (t) => {
  const admin = (token: string) => config({ admin: { token } });
  const [change] = diffConfigs(admin('0123456789abcdef-first'), admin('0123456789abcdef-second'));
  t.equal(change?.path, 'admin.token');
  t.notMatch(JSON.stringify(change), /first|second/);
});
