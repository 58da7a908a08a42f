import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { readCertificate } from '../../src/config/certificates.ts';
import { Files } from '../../src/config/files.ts';
import { loadSnapshot } from '../../src/config/load.ts';
import { formatProblem } from '../../src/config/problem.ts';
import { certificates } from '../support/certificates.ts';
import { PLAIN, plainWith, problemsOf, writeConfiguration } from './support/configuration.ts';

/** Problems of the plain configuration with other text in its chain or key file. */
async function withFile(t: Test, name: 'dev.pem' | 'dev.key', content: string): Promise<string[]> {
  const file = writeConfiguration(t, PLAIN);
  writeFileSync(join(dirname(file), 'certs', name), content);
  const { problems } = await loadSnapshot(file);
  return problems.map(formatProblem);
}

/** Writes dev.pem and dev.key for `names` (OpenSSL's spelling) into a folder. */
function makeSelfSigned(folder: string, algorithm: string, names: string): void {
  const words = ['req', '-x509', '-newkey', algorithm, '-nodes', '-days', '30', '-subj', '/CN=x', '-addext', `subjectAltName=${names}`];
  const files = ['-keyout', join(folder, 'dev.key'), '-out', join(folder, 'dev.pem')];
  execFileSync('openssl', [...words, ...files], { stdio: 'ignore' });
}

const day = 24 * 3_600_000;
const configured = { name: '', names: ['localhost'], chain: 'dev.pem', key: 'dev.key', ocsp: '' };

t.test('a chain and its key become part of the snapshot as they are on disk', async (t) => {
  const { snapshot } = await loadSnapshot(writeConfiguration(t, PLAIN));
  t.same(snapshot?.listeners[0]?.certificates, [
    { label: 'localhost', names: ['localhost'], chainPem: certificates().chain, keyPem: certificates().key, ocsp: new Uint8Array() },
  ]);
});

t.test('files that are missing are named with their line', async (t) => {
  const lines = await problemsOf(t, plainWith('certs/dev.pem', 'certs/none.pem'));
  t.match(lines[0], /^edge\.yaml:5:49: error: listeners\[0\]\.certificates\[0\]\.chain: .*none\.pem: the file does not exist/);
});

t.test("chain and key in each other's place are recognised", async (t) => {
  const text = plainWith('chain: certs/dev.pem, key: certs/dev.key', 'chain: certs/dev.key, key: certs/dev.pem');
  const lines = await problemsOf(t, text);
  t.match(lines[0], /chain: holds a key, not a certificate/);
  t.match(lines[1], /key: holds a certificate, not a key/);
});

t.test('a key that every user may read is a warning', async (t) => {
  const file = writeConfiguration(t, PLAIN);
  const problemsWith = async (mode: number) => {
    chmodSync(join(dirname(file), 'certs/dev.key'), mode);
    return (await loadSnapshot(file)).problems.map((problem) => formatProblem(problem).replaceAll(`${t.testdirName}/`, ''));
  };
  t.same(await problemsWith(0o640), []);
  t.same(await problemsWith(0o644), [
    'edge.yaml:5:69: warning: listeners[0].certificates[0].key: the file can be read by every user of the machine; expected chmod o-r',
  ]);
});

t.test('a key of another certificate is refused', async (t) => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const lines = await withFile(t, 'dev.key', privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
  t.match(lines[0], /certificates\[0\]\.key: the key does not belong to the certificate/);
});

t.test('a chain whose leaf does not come first is refused', async (t) => {
  const lines = await withFile(t, 'dev.pem', certificates().ca + certificates().chain);
  t.match(lines.join('\n'), /chain: the key belongs to certificate 2, but the leaf must come first/);
});

t.test('encrypted, short, foreign and broken keys are refused', async (t) => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const encrypted = privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' }).toString();
  t.match((await withFile(t, 'dev.key', encrypted))[0], /the key is encrypted/);
  const short = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  t.match((await withFile(t, 'dev.key', short))[0], /an RSA key of 1024 bits is too short/);
  const foreign = generateKeyPairSync('x25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  t.match((await withFile(t, 'dev.key', foreign))[0], /a key of type x25519 cannot be used/);
  t.match((await withFile(t, 'dev.key', certificates().key.replace(/\n[^-].*\n/, '\nAAAA\n')))[0], /the key cannot be parsed/);
  t.match((await withFile(t, 'dev.key', 'hello'))[0], /holds no PEM key/);
});

t.test('a broken certificate is named by its place in the chain', async (t) => {
  const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
  t.match((await withFile(t, 'dev.pem', certificates().chain + broken))[0], /certificate 2 of 2 cannot be parsed/);
  t.match((await withFile(t, 'dev.pem', 'hello'))[0], /holds no PEM certificate/);
});

t.test('names must be covered by the certificate', async (t) => {
  const folder = t.testdir();
  makeSelfSigned(folder, 'ed25519', 'DNS:A.test,DNS:*.b.test,DNS:*.localhost,IP:127.0.0.1,IP:::1');
  const uncovered = async (...names: string[]): Promise<unknown[]> => {
    const { complaints } = await readCertificate({ ...configured, names }, [], new Files(folder), Date.now());
    return complaints.map(({ path }) => names[Number(path.at(-1))]);
  };
  t.same(await uncovered('a.test', 'x.b.test', '*.b.test', 'x.localhost', '*.localhost', '127.0.0.1', '::1'), []);
  const others = ['example.org', '*.a.test', 'b.test', 'x.y.b.test', '*.x.b.test', 'test', '127.0.0.2', '::2'];
  t.same(await uncovered(...others), others);
});

t.test('where no names are given those of the certificate hold, and one without any is refused', async (t) => {
  const folder = t.testdir();
  makeSelfSigned(folder, 'ed25519', 'DNS:A.test,DNS:*.b.test,IP:127.0.0.1,email:x@a.test,DNS:a.test');
  const unnamed = { ...configured, names: [] };
  const { certificate, complaints } = await readCertificate(unnamed, [], new Files(folder), Date.now());
  t.same(complaints, []);
  t.same(certificate?.names, ['a.test', '*.b.test', '127.0.0.1']);
  t.equal(certificate?.label, 'a.test');
  t.equal((await readCertificate({ ...unnamed, name: 'own' }, [], new Files(folder), Date.now())).certificate?.label, 'own');
  makeSelfSigned(folder, 'ed25519', 'email:x@a.test');
  const refused = await readCertificate(unnamed, [], new Files(folder), Date.now());
  t.match(refused.complaints, [{ path: ['chain'], message: 'the certificate has no name that a client could ask for' }]);
});

t.test('an OCSP response is read as it is, and what is none is refused', async (t) => {
  const folder = t.testdir();
  makeSelfSigned(folder, 'ed25519', 'DNS:localhost');
  const read = async (content: Uint8Array) => {
    writeFileSync(join(folder, 'ocsp'), content);
    return readCertificate({ ...configured, ocsp: 'ocsp' }, [], new Files(folder), Date.now());
  };
  const long = Buffer.concat([Buffer.from([0x30, 0x82, 1, 3, 0x0a, 1, 0]), Buffer.alloc(256, 0xff)]);
  for (const good of [Buffer.from([0x30, 3, 0x0a, 1, 0]), long]) {
    const { certificate, complaints } = await read(good);
    t.same(complaints, []);
    t.same(Buffer.from(certificate?.ocsp ?? []), good);
  }
  // Nothing, another status, too short, text.
  for (const bad of [Buffer.alloc(0), Buffer.from([0x30, 3, 0x0a, 1, 6]), long.subarray(0, 200), Buffer.from('-----BEGIN OCSP')]) {
    t.match((await read(bad)).complaints, [{ path: ['ocsp'], message: /no OCSP response/ }]);
  }
});

t.test('a name that is not covered is told with those that are', async (t) => {
  const lines = await problemsOf(t, plainWith('names: [localhost]', 'names: [localhost, example.org]'));
  t.match(lines[0], /^edge\.yaml:5:41: error: .*names\[1\]: "example\.org" is not covered by the certificate; expected .*\(localhost/);
});

t.test('an expired certificate, one of tomorrow and one that ends soon are warnings', async (t) => {
  const at = async (nowMs: number): Promise<string[]> => {
    const { certificate, complaints } = await readCertificate(configured, [], new Files(certificates().folder), nowMs);
    t.ok(certificate, 'it is used all the same');
    return complaints.map(({ severity, message }) => `${severity} ${message}`);
  };
  t.same(await at(Date.now()), []);
  t.match((await at(Date.now() + 1000 * day))[0], /^warning the certificate expired on /);
  t.match((await at(Date.now() + 86 * day))[0], /^warning the certificate expires on /);
  t.match((await at(Date.now() - 2 * day))[0], /^warning the certificate is not valid before /);
});

t.test('a chain whose links do not fit is a warning', async (t) => {
  const lines = await withFile(t, 'dev.pem', certificates().chain + certificates().chain);
  t.match(lines[0], /warning: .*the certificate was not issued by the one after it/);
});

t.test('an RSA certificate and an Ed25519 one are accepted', async (t) => {
  for (const algorithm of ['rsa:2048', 'ed25519']) {
    const folder = t.testdir();
    makeSelfSigned(folder, algorithm, 'DNS:localhost');
    const { certificate, complaints } = await readCertificate(configured, [], new Files(folder), Date.now());
    t.same(complaints, [], algorithm);
    t.equal(certificate?.keyPem, readFileSync(join(folder, 'dev.key'), 'utf8'));
  }
});

t.test('authorities of an upstream are read, and refused when they are none', async (t) => {
  const text = (ca: string): string => plainWith('balance: { policy: peak-ewma }', `tls: { ca: ${ca} }`).replaceAll('h2c:', 'https:');
  const { snapshot } = await loadSnapshot(writeConfiguration(t, text('certs/ca.pem')));
  t.equal(snapshot?.backends[0]?.caPem, certificates().ca);
  t.match((await problemsOf(t, text('certs/dev.key')))[0], /upstreams\.web\.tls\.ca: holds a key, not a certificate/);
  t.match((await problemsOf(t, text('none.pem')))[0], /upstreams\.web\.tls\.ca: none\.pem: the file does not exist/);
});
