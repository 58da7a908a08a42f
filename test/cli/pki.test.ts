/** `lychgate pki` as people call it; what it writes is judged by OpenSSL and by TLS handshakes. */

import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer } from 'node:tls';
import t, { type Test } from 'tap';
import { certificates } from '../support/certificates.ts';
import { plainCommand, plainEnvironment } from '../support/process.ts';

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function run(program: string, words: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(...plainCommand(program, words), { env: plainEnvironment() }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

const pki = (...words: readonly string[]): Promise<Ended> => run(join(import.meta.dirname, '../../bin/lychgate'), ['pki', ...words]);
const openssl = (...words: readonly string[]): Promise<Ended> => run('openssl', words);

function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'lychgate-pki-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return join(path, 'ca');
}

/** A CA in a folder of its own. */
async function authority(t: Test): Promise<string> {
  const dir = folder(t);
  t.match(await pki('init', dir), { code: 0, stderr: '' });
  return dir;
}

/** What OpenSSL says of a certificate, with the revocation list. */
function verifyFile(dir: string, chain: string, purpose: 'sslserver' | 'sslclient'): Promise<Ended> {
  const trust = ['-CAfile', join(dir, 'ca.pem'), '-CRLfile', join(dir, 'crl.pem')];
  return openssl('verify', '-crl_check', '-x509_strict', '-purpose', purpose, ...trust, chain);
}

t.test('init makes a CA below which there is no other, with a key for its owner alone and an empty revocation list', async (t) => {
  const dir = folder(t);
  const made = await pki('init', dir, '--name', 'Büro & Söhne', '--days', '10');
  t.match(made, { code: 0, stderr: '', stdout: /Next, .*\n +lychgate pki issue \S+\/ca --name localhost/ });
  t.notMatch(made.stdout, 'PRIVATE KEY');
  t.equal(statSync(join(dir, 'ca.key')).mode & 0o777, 0o600);
  const certificate = new X509Certificate(readFileSync(join(dir, 'ca.pem')));
  t.match(certificate, { ca: true, subject: 'CN=Büro & Söhne' });
  t.equal(certificate.validToDate.getTime() - certificate.validFromDate.getTime(), 10 * 86_400_000);
  const { stdout } = await openssl('x509', '-in', join(dir, 'ca.pem'), '-noout', '-text');
  t.match(stdout, /Basic Constraints: critical\s+CA:TRUE, pathlen:0\s+X509v3 Key Usage: critical\s+Certificate Sign, CRL Sign\s/);
  t.match(stdout, /prime256v1/);
  const list = await openssl('crl', '-in', join(dir, 'crl.pem'), '-CAfile', join(dir, 'ca.pem'), '-noout', '-text');
  t.match(list.stderr, 'verify OK');
  t.match(list.stdout, /CRL Number:\s+1\s[\s\S]*No Revoked Certificates/);
});

t.test('a server certificate has its names by their look and verifies with the revocation list', async (t) => {
  const dir = await authority(t);
  const san = ['127.0.0.1', '::1', '::ffff:1.2.3.4', 'https://x.test/a', 'bücher.example,*.localhost', 'email:someone@example.org'];
  const issued = await pki('issue', dir, '--name', 'Www.Example.org', '--san', ...san);
  t.match(issued, { code: 0, stderr: '', stdout: /- \{ chain: \S+Www\.Example\.org\.pem, key: \S+\.key \}/ });
  t.notMatch(issued.stdout, 'PRIVATE KEY');
  const [chain, key] = [join(dir, 'Www.Example.org.pem'), join(dir, 'Www.Example.org.key')];
  t.equal(statSync(key).mode & 0o777, 0o600);
  t.match(await verifyFile(dir, chain, 'sslserver'), { code: 0 });
  t.match(await verifyFile(dir, chain, 'sslclient'), { code: 2, stderr: /unsuitable certificate purpose/ });
  t.equal(
    new X509Certificate(readFileSync(chain)).subjectAltName,
    [
      'DNS:www.example.org',
      'IP Address:127.0.0.1',
      'IP Address:0:0:0:0:0:0:0:1',
      'IP Address:0:0:0:0:0:FFFF:102:304',
      'URI:https://x.test/a',
      'DNS:xn--bcher-kva.example',
      'DNS:*.localhost',
      'email:someone@example.org',
    ].join(', '),
  );
  t.match(await run(join(import.meta.dirname, '../../bin/lychgate'), ['cert', 'check', '--chain', chain, '--key', key]), {
    code: 0,
    stderr: '',
  });
});

t.test('a revocation list holds in a handshake from its next reading on', async (t) => {
  const dir = await authority(t);
  await pki('issue', dir, '--name', 'localhost');
  t.match(await pki('issue', dir, '--name', 'alice', '--client', '--san', 'spiffe://example.org/alice'), { code: 0 });
  t.match(await verifyFile(dir, join(dir, 'alice.pem'), 'sslclient'), { code: 0 });
  const read = (name: string): string => readFileSync(join(dir, name), 'utf8');
  const handshake = async (): Promise<string> => {
    const own = { cert: read('localhost.pem'), key: read('localhost.key'), ca: read('ca.pem'), crl: read('crl.pem') };
    const server = createServer({ ...own, requestCert: true, rejectUnauthorized: false }, (socket) => {
      socket.end(socket.authorized ? 'welcome' : String(socket.authorizationError));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const client = connect({
      port,
      host: '127.0.0.1',
      servername: 'localhost',
      ca: own.ca,
      cert: read('alice.pem'),
      key: read('alice.key'),
    });
    let answer = '';
    for await (const chunk of client.setEncoding('utf8')) answer += chunk;
    server.close();
    return answer;
  };
  t.equal(await handshake(), 'welcome');
  const { ino } = statSync(join(dir, 'crl.pem'));
  t.match(await pki('revoke', dir, join(dir, 'alice.pem'), '--reason', 'keycompromise'), { code: 0, stdout: /number 2\n/ });
  t.not(statSync(join(dir, 'crl.pem')).ino, ino, 'another file came in its place');
  t.match(await handshake(), 'CERT_REVOKED');
  t.match(await verifyFile(dir, join(dir, 'alice.pem'), 'sslclient'), { code: 2, stderr: /certificate revoked/ });
  t.match(await verifyFile(dir, join(dir, 'localhost.pem'), 'sslserver'), { code: 0 });
});

t.test('revoke takes serial numbers and fingerprints, says what was revoked before, and knows no strangers', async (t) => {
  const dir = await authority(t);
  for (const name of ['a.test', 'b.test']) t.match(await pki('issue', dir, '--name', name), { code: 0 });
  const [a, b] = ['a.test', 'b.test'].map((name) => new X509Certificate(readFileSync(join(dir, `${name}.pem`)))) as [
    X509Certificate,
    X509Certificate,
  ];
  t.match(await pki('revoke', dir, a.serialNumber.toLowerCase()), { code: 0 });
  t.match(await pki('revoke', dir, b.fingerprint256, '--reason', 'superseded'), { code: 0 });
  const list = readFileSync(join(dir, 'crl.pem'), 'utf8');
  t.match(await pki('revoke', dir, a.serialNumber), { code: 0, stdout: /is revoked since .*, unspecified; .* stays as it is, number 3/ });
  t.equal(readFileSync(join(dir, 'crl.pem'), 'utf8'), list);
  t.match(await pki('revoke', dir, '1234'), { code: 1, stderr: /no certificate of this CA has .* 1234;.*\(pki_failed\)/ });
  t.match(await pki('revoke', dir, certificates().chainPath), { code: 1, stderr: /was not issued by the CA/ });
  t.match(await pki('revoke', dir, join(dir, 'ca.pem')), { code: 1, stderr: /was not issued by the CA/ });
  t.match(await pki('revoke', dir, 'nothing.pem'), { code: 1, stderr: /nothing\.pem: the file does not exist/ });
  t.match(await pki('revoke', dir, a.serialNumber, '--reason', 'removeFromCRL'), { code: 2, stderr: /expected one of unspecified, / });
  const { stdout } = await openssl('crl', '-in', join(dir, 'crl.pem'), '-noout', '-text');
  t.match(stdout, new RegExp(`CRL Number:\\s+3\\s[^]*${a.serialNumber}[^]*${b.serialNumber}[^]*Superseded`));

  t.match(
    (await pki('list', dir)).stdout,
    /revocation list number 3\nNAME +FOR .*\n(.*\n)*a\.test +server +DNS:a\.test +[0-9A-F]+ +\S+ +revoked\n/,
  );
  const shown = JSON.parse((await pki('list', dir, '--json')).stdout) as { certificates: { subject: string; fingerprint: string }[] };
  t.match(
    shown.certificates.find(({ subject }) => subject === 'b.test'),
    { state: 'revoked', reason: 'superseded', fingerprint: b.fingerprint256.replaceAll(':', '').toLowerCase() },
  );
});

t.test('revocations at the same time are all on the list', async (t) => {
  const dir = await authority(t);
  const names = ['a', 'b', 'c', 'd'];
  for (const name of names) t.match(await pki('issue', dir, '--name', name, '--client'), { code: 0 });
  const ended = await Promise.all(names.map((name) => pki('revoke', dir, join(dir, `${name}.pem`))));
  t.strictSame(
    ended.map(({ code }) => code),
    [0, 0, 0, 0],
  );
  const { stdout } = await openssl('crl', '-in', join(dir, 'crl.pem'), '-noout', '-text');
  t.equal(stdout.match(/Serial Number/g)?.length, 4);
  t.match(stdout, /CRL Number:\s+5\s/);
  t.strictSame(
    readdirSync(dir).filter((name) => name.startsWith('.') || name.endsWith('.lock')),
    [],
    'nothing is left behind',
  );
});

t.test('nothing is overwritten without --force, and the files of the CA not even then', async (t) => {
  const dir = await authority(t);
  await pki('issue', dir, '--name', 'localhost');
  const before = new Map(
    ['ca.pem', 'ca.key', 'crl.pem', 'localhost.pem', 'localhost.key'].map((name) => [name, readFileSync(join(dir, name), 'utf8')]),
  );
  const isSame = (...names: string[]): boolean => names.every((name) => readFileSync(join(dir, name), 'utf8') === before.get(name));
  t.match(await pki('init', dir), { code: 1, stdout: '', stderr: /ca\.key is there already: it holds a CA; --force/ });
  t.match(await pki('issue', dir, '--name', 'localhost'), { code: 1, stdout: '', stderr: /localhost\.pem is there already: --force/ });
  t.match(await pki('issue', dir, '--name', 'ca', '--client', '--force'), { code: 1, stderr: /is a file of the CA itself/ });
  t.match(await pki('issue', dir, '--name', 'x', '--out', join(dir, 'crl'), '--force'), { code: 1, stderr: /is a file of the CA itself/ });
  t.ok(isSame(...before.keys()));
  t.match(await pki('issue', dir, '--name', 'localhost', '--force'), { code: 0 });
  t.notOk(isSame('localhost.pem') || isSame('localhost.key'));
  t.match(await verifyFile(dir, join(dir, 'localhost.pem'), 'sslserver'), { code: 0 });
  t.match(await pki('init', dir, '--force'), { code: 0 });
  t.notOk(isSame('ca.pem') || isSame('ca.key') || isSame('crl.pem'));
  t.match(await pki('list', dir), { code: 0, stdout: /It issued nothing yet/ }, 'what another CA issued is none of its own');
});

t.test('a revocation list that cannot be read, or is of another CA, is never started anew', async (t) => {
  const [dir, other] = [await authority(t), await authority(t)];
  await pki('issue', dir, '--name', 'a', '--client');
  const list = join(dir, 'crl.pem');
  copyFileSync(join(other, 'crl.pem'), list);
  t.match(await pki('revoke', dir, join(dir, 'a.pem')), {
    code: 1,
    stderr: /crl\.pem holds no revocation list of this CA: it is not signed by this CA/,
  });
  truncateSync(list, 100);
  t.match(await pki('revoke', dir, join(dir, 'a.pem')), { code: 1, stderr: /crl\.pem the X509 CRL .* is cut off/ });
  rmSync(list);
  t.match(await pki('revoke', dir, join(dir, 'a.pem')), { code: 1, stderr: /crl\.pem: the file does not exist/ });
  copyFileSync(join(other, 'ca.key'), join(dir, 'ca.key'));
  t.match(await pki('issue', dir, '--name', 'b', '--client'), { code: 1, stderr: /ca\.key is not the key of a CA in/ });
});

t.test('what cannot stand in a certificate is refused with what is expected', async (t) => {
  const dir = await authority(t);
  const cases: [string[], RegExp][] = [
    [['--name', 'a b'], /"a b" cannot be a name of a certificate: expected a host name/],
    [['--name', 'x', '--san', 'a..b'], /"a\.\.b" .* expected a host name/],
    [['--name', 'x', '--san', 'a.*.test'], /expected a host name such as www\.example\.org or \*\.example\.org/],
    [['--name', 'x', '--san', 'ip:1.2.3'], /expected an IPv4 or IPv6 address/],
    [['--name', 'x', '--san', 'fe80::1%eth0'], /cannot be a name of a certificate/],
    [['--name', 'x', '--san', 'email:someone'], /expected an address such as/],
    [['--name', 'a\nb', '--client'], /cannot be the name of a subject: .* control character/],
    [['--name', 'a'.repeat(65), '--client'], /1 to 64 characters/],
    [['--name', 'x', '--days', '4000'], /--days 4000 goes beyond the end of the CA/],
    [['--name', 'x', '--days', '0'], /Expected 1 to 36500/],
    [[], /required option '--name <name>'/],
  ];
  for (const [words, expected] of cases) t.match(await pki('issue', dir, ...words), { code: 2, stdout: '', stderr: expected });
  t.strictSame(readdirSync(join(dir, 'issued')), []);
  const nowhere = join(dir, 'nowhere');
  t.match(await pki('list', nowhere), { code: 1, stderr: /nowhere holds no CA; `lychgate pki init .*` makes one/ });
  writeFileSync(join(dir, 'file'), '');
  t.match(await pki('init', join(dir, 'file')), {
    code: 1,
    stderr: /^lychgate: .*file\/issued: a part of the path is no directory \(pki_failed\)\n$/,
  });
});
