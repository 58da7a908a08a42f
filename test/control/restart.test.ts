import t from 'tap';
import { needingRestart } from '../../src/control/reload/restart.ts';
import { sampleSnapshot } from '../support/snapshots.ts';

const snapshot = sampleSnapshot();
const needs = (path: string): boolean => needingRestart([{ path, before: 1, after: 2 }], snapshot, snapshot).length === 1;

t.test('certificates, tickets and what unknown names get can change, and nothing else of a listener', async (t) => {
  for (const name of ['.public', '["my.edge"]']) {
    for (const key of ['certificates', 'tls.unknown_name', 'tls.strict', 'tls.tickets.rotation', 'tls.tickets.keys_file'])
      t.notOk(needs(`listeners${name}.${key}`), key);
    for (const key of ['address', 'tls.groups', 'quic.idle_timeout', 'max_connections']) t.ok(needs(`listeners${name}.${key}`), key);
    t.ok(needs(`listeners${name}`), 'a listener that comes or goes');
  }
});

t.test('what is cut or bound at the start needs a restart', async (t) => {
  for (const path of ['shards.count', 'limits.max_held', 'admin.address', 'claims.client_field']) t.ok(needs(path), path);
  for (const path of ['shards.stall_timeout', 'upstreams.web.limits.in_flight', 'log.level', 'drain.delay', 'claims.more_fields'])
    t.notOk(needs(path), path);
});

t.test('listeners in another order need a restart', async (t) => {
  const [one, other] = [sampleSnapshot({ listeners: ['a', 'b'] }), sampleSnapshot({ listeners: ['b', 'a'] })];
  t.match(needingRestart([], one, other), [{ path: 'listeners', before: ['a', 'b'], after: ['b', 'a'] }]);
  t.same(needingRestart([], one, one), []);
});

t.test('a token is another one although its file has the same name', async (t) => {
  const other = { ...snapshot, admin: { ...snapshot.admin, token: 'another' } };
  const [change] = needingRestart([], snapshot, other);
  t.equal(change?.path, 'admin.token_file');
  t.notMatch(JSON.stringify(change), /"another"/);
});
