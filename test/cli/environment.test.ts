import { Command } from 'commander';
import t from 'tap';
import { readAdminTarget } from '../../src/cli/admin-client.ts';
import { addSettings, readSettings } from '../../src/cli/settings.ts';

t.test('an empty variable names neither an admin API nor a configuration', async (t) => {
  t.same(readAdminTarget({}, { LYCHGATE_ADMIN: '', LYCHGATE_ADMIN_TOKEN: '' }), { url: 'http://127.0.0.1:9901', token: '' });
  t.same(readAdminTarget({}, { LYCHGATE_ADMIN: '127.0.0.1:9902' }).url, 'http://127.0.0.1:9902');
  const command = addSettings(new Command('check'));
  t.throws(() => readSettings(command, { LYCHGATE_CONFIG: '' }), { code: 'usage_not_valid', message: /no configuration is named/ });
  t.equal(readSettings(command, { LYCHGATE_CONFIG: 'edge.yaml' }).file, 'edge.yaml');
});
