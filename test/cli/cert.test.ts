import { execFile } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { formatCertificates } from '../../src/cli/cert.ts';
import { factsOfChain } from '../../src/config/certificates/certificates.ts';
import { PLAIN, writeConfiguration } from '../config/support/configuration.ts';
import { certificates } from '../support/certificates.ts';
import { plainCommand, plainEnvironment } from '../support/process.ts';

function lychgate(...words: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const program = join(import.meta.dirname, '../../bin/lychgate');
  return new Promise((resolve) => {
    execFile(...plainCommand(program, words), { env: plainEnvironment() }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

t.test('cert check shows the certificates of a configuration and says what is wrong with its place', async (t) => {
  const file = writeConfiguration(t, PLAIN);
  const good = await lychgate('cert', 'check', file);
  t.match(good, { code: 0, stderr: '' });
  t.match(
    good.stdout,
    /^LISTENER +CERTIFICATE +NAMES +ISSUER +SERIAL +KEY +DAYS LEFT +STATE\npublic +localhost +localhost +Lychgate development CA +[0-9A-F]+ +ECDSA P-256 +89 +valid\n$/,
  );
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  writeFileSync(join(dirname(file), 'certs/dev.key'), other, { mode: 0o600 });
  const bad = await lychgate('cert', 'check', '--config', file, '--json');
  t.match(bad, { code: 1, stdout: '[]\n' });
  t.match(
    bad.stderr,
    /edge\.yaml:5:69: error: listeners\[0\]\.certificates\[0\]\.key: the key does not belong to the certificate\n1 error, 0 warnings\n$/,
  );
  t.match(await lychgate('check', file), { code: 1 }, 'check refuses it as well');
});

t.test('cert check looks at a chain and its key that no configuration names', async (t) => {
  const { chainPath, keyPath, caPath, chain } = certificates();
  const good = await lychgate('cert', 'check', '--chain', chainPath, '--key', keyPath, '--json');
  t.equal(good.code, 0);
  t.match(JSON.parse(good.stdout), [{ certificate: 'localhost', serial: factsOfChain(chain).serial, daysLeft: 89, chain: chainPath }]);
  const bad = await lychgate('cert', 'check', '--chain', caPath, '--key', keyPath);
  t.equal(bad.code, 1);
  t.match(bad.stderr, `${keyPath}: error: key: the key does not belong to the certificate`);
  t.match(await lychgate('cert', 'check', '--chain', chainPath), { code: 2, stderr: /--chain and --key go together/ });
  t.match(await lychgate('cert', 'lst'), { code: 2, stderr: /Did you mean list\?/ });
});

t.test('the table tells of what ran out, is not valid yet, and was refused', async (t) => {
  const row = {
    ...factsOfChain(certificates().chain),
    listener: 'public',
    certificate: 'a.test',
    names: ['a.test', 'b.test', 'c.test', 'd.test', 'e.test'],
    chain: '/etc/a.pem',
    daysLeft: 3,
    since: '2026-01-01T00:00:00.000Z',
    refusal: null,
  };
  const text = formatCertificates([
    row,
    { ...row, daysLeft: -1 },
    {
      ...row,
      notBefore: '2999-01-01T00:00:00.000Z',
      refusal: { at: '2026-01-01T00:00:00.000Z', message: '/etc/a.key: the key cannot be parsed' },
    },
  ]);
  t.match(text, /a\.test, b\.test, c\.test and 2 more .* 3 {2}valid\n/);
  t.match(text, /-1 {2}expired\n/);
  t.match(
    text,
    /not valid yet, new one refused\npublic a\.test: refused at 2026-01-01T00:00:00\.000Z: \/etc\/a\.key: the key cannot be parsed\n$/,
  );
});
