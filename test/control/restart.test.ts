import t from 'tap';
import { needingRestart } from '../../src/control/reload/restart.ts';

const needs = (path: string): boolean => needingRestart([{ path, before: 1, after: 2 }]).length === 1;

t.test('a listener changes while it serves, the certificates that it asks clients for too', async (t) => {
  for (const name of ['.public', '["my.edge"]']) {
    for (const key of ['', '.address', '.certificates', '.tls.groups', '.tls.tickets.rotation', '.quic.idle_timeout', '.max_connections'])
      t.notOk(needs(`listeners${name}${key}`), key);
    for (const key of ['tls.client_certificates.mode', 'client_certificates']) t.notOk(needs(`listeners${name}.${key}`), key);
  }
});

t.test('what is cut or bound at the start needs a restart', async (t) => {
  for (const path of ['shards.count', 'process.dumpable']) t.ok(needs(path), path);
  for (const path of [
    'shards.stall_timeout',
    'limits.max_held',
    'claims.client_field',
    'certificates.watch',
    'admin.address',
    'admin.token',
    'log.level',
    'drain.delay',
  ])
    t.notOk(needs(path), path);
});
