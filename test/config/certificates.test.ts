import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { readCertificate, worseThan } from '../../src/config/certificates/certificates.ts';
import { loadSnapshot } from '../../src/config/load.ts';
import { formatProblem } from '../../src/config/problem.ts';
import { Files } from '../../src/config/read/files.ts';
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
  const words = [
    'req',
    '-x509',
    '-newkey',
    algorithm,
    ...(algorithm === 'ec' ? ['-pkeyopt', 'ec_paramgen_curve:P-256'] : []),
    '-nodes',
    '-days',
    '30',
    '-subj',
    '/CN=x',
    '-addext',
    `subjectAltName=${names}`,
  ];
  const files = ['-keyout', join(folder, 'dev.key'), '-out', join(folder, 'dev.pem')];
  execFileSync('openssl', [...words, ...files], { stdio: 'ignore' });
}

const day = 24 * 3_600_000;
const configured = { name: '', names: ['localhost'], chain: 'dev.pem', key: 'dev.key', key_passphrase_file: '', ocsp: '' };

t.test('a chain and its key become part of the snapshot, with the places of their files', async (t) => {
  const file = writeConfiguration(t, PLAIN);
  const folder = join(dirname(file), 'certs');
  const { snapshot } = await loadSnapshot(file);
  t.same(snapshot?.listeners[0]?.certificates, [
    {
      label: 'localhost',
      names: ['localhost'],
      chainPem: certificates().chain,
      keyPem: certificates().key,
      ocsp: new Uint8Array(),
      source: {
        name: '',
        names: ['localhost'],
        chain: join(folder, 'dev.pem'),
        key: join(folder, 'dev.key'),
        key_passphrase_file: '',
        ocsp: '',
      },
    },
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

/**
 * A key of P-256 and a certificate for it, in dev.key and dev.pem, and other forms of the key by
 * name.
 */
function makeForms(folder: string): Record<string, string> {
  makeSelfSigned(folder, 'ec', 'DNS:localhost');
  const key = join(folder, 'dev.key');
  const openssl = (...words: string[]): string => execFileSync('openssl', words, { stdio: ['ignore', 'pipe', 'ignore'] }).toString();
  return {
    pkcs8: readFileSync(key, 'utf8'),
    parameters: openssl('ecparam', '-name', 'prime256v1'),
    traditional: openssl('ec', '-in', key),
    encrypted: openssl('pkcs8', '-topk8', '-v2', 'aes-256-cbc', '-in', key, '-passout', 'pass:s3same'),
    encryptedTraditional: openssl('ec', '-in', key, '-aes128', '-passout', 'pass:s3same'),
    chain: readFileSync(join(folder, 'dev.pem'), 'utf8'),
    text: openssl('x509', '-in', join(folder, 'dev.pem'), '-text'),
    other: openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'),
    der: execFileSync('openssl', ['pkcs8', '-topk8', '-nocrypt', '-in', key, '-outform', 'DER']).toString('utf8'),
  };
}

/** Complaints of dev.pem and dev.key as they are now, and whether they can be used. */
async function checked(folder: string, change: Partial<typeof configured> = {}) {
  const { certificate, complaints } = await readCertificate({ ...configured, ...change }, [], new Files(folder), Date.now());
  return { certificate, messages: complaints.filter(({ severity }) => severity !== 'warning').map(({ message }) => message) };
}

t.test('PEM is read as tools write it, and goes on in one form', async (t) => {
  const folder = t.testdir();
  const forms = makeForms(folder);
  const write = (name: string, text: string): void => writeFileSync(join(folder, name), text, { mode: 0o600 });
  const windows = (text: string): string => `\ufeff${text.replaceAll('\n', '  \r\n')}\r\n \r\n`;
  const keys: Record<string, string> = {
    'PKCS#8': forms['pkcs8'] as string,
    'EC PRIVATE KEY': forms['traditional'] as string,
    'EC PARAMETERS before it': `${forms['parameters']}${forms['traditional']}`,
    'Windows line ends, a byte order mark and blanks': windows(forms['pkcs8'] as string),
    'text before and after': `Bag Attributes\n    localKeyID: 01\n${forms['pkcs8']}\nthe end`,
    'certificates in the same file': `${forms['chain']}${forms['pkcs8']}`,
    'another key before it': `${forms['other']}${forms['pkcs8']}`,
    'no line end at its end': (forms['pkcs8'] as string).trimEnd(),
  };
  for (const [what, text] of Object.entries(keys)) {
    write('dev.key', text);
    const { certificate, messages } = await checked(folder);
    t.same(messages, [], what);
    t.equal(certificate?.keyPem, forms['pkcs8'], what);
  }
  write('dev.key', forms['pkcs8'] as string);
  for (const [what, text] of Object.entries({
    'text of openssl x509': forms['text'] as string,
    'Windows line ends': windows(forms['chain'] as string),
    'the key in the same file': `${forms['pkcs8']}${forms['chain']}`,
    'the name of old': (forms['chain'] as string).replaceAll('CERTIFICATE', 'X509 CERTIFICATE'),
  })) {
    write('dev.pem', text);
    const { certificate, messages } = await checked(folder);
    t.same(messages, [], what);
    t.equal(certificate?.chainPem, forms['chain'], what);
  }
});

t.test('an RSA key is read in the form of old too', async (t) => {
  const folder = t.testdir();
  makeSelfSigned(folder, 'rsa:2048', 'DNS:localhost');
  const pkcs8 = readFileSync(join(folder, 'dev.key'), 'utf8');
  const traditional = execFileSync('openssl', ['rsa', '-in', join(folder, 'dev.key'), '-traditional'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  t.match(traditional.toString(), /^-----BEGIN RSA PRIVATE KEY-----/);
  writeFileSync(join(folder, 'dev.key'), traditional, { mode: 0o600 });
  const { certificate, messages } = await checked(folder);
  t.same(messages, []);
  t.equal(certificate?.keyPem, pkcs8);
});

t.test('files that are cut off, binary or on a curve that TLS 1.3 has not are refused', async (t) => {
  const folder = t.testdir();
  const forms = makeForms(folder);
  const chain = forms['chain'] as string;
  writeFileSync(join(folder, 'dev.pem'), chain + chain.slice(0, 200));
  t.match((await checked(folder)).messages, [/^the CERTIFICATE that begins on line \d+ has no end: the file is cut off$/]);
  writeFileSync(join(folder, 'dev.pem'), chain);
  const key = forms['pkcs8'] as string;
  writeFileSync(join(folder, 'dev.key'), key.slice(0, -30));
  t.match((await checked(folder)).messages, [/^the PRIVATE KEY that begins on line 1 has no end/]);
  writeFileSync(join(folder, 'dev.key'), forms['der'] as string);
  t.same((await checked(folder)).messages, ['is binary (DER or PKCS#12), not PEM']);
  for (const curve of ['secp256k1', 'P-224', 'brainpoolP256r1']) {
    execFileSync('openssl', ['genpkey', '-algorithm', 'EC', '-pkeyopt', `ec_paramgen_curve:${curve}`, '-out', join(folder, 'dev.key')], {
      stdio: 'ignore',
    });
    t.match((await checked(folder)).messages[0], /^a key on the curve \w+ cannot be used$/, curve);
  }
});

t.test('an encrypted key is opened with the pass phrase of a file, and the wrong one says so without telling it', async (t) => {
  const folder = t.testdir();
  const forms = makeForms(folder);
  const write = (name: string, text: string): void => writeFileSync(join(folder, name), text, { mode: 0o600 });
  const withFile = { key_passphrase_file: 'dev.pass' };
  write('dev.pass', 's3same\r\n');
  for (const form of ['encrypted', 'encryptedTraditional']) {
    write('dev.key', forms[form] as string);
    const { certificate, messages } = await checked(folder, withFile);
    t.same(messages, [], form);
    t.equal(certificate?.keyPem, forms['pkcs8'], form);
    t.match((await checked(folder)).messages, [/^the key is encrypted/]);
  }
  write('dev.pass', 'wr0ng');
  t.same((await checked(folder, withFile)).messages, ['the key cannot be decrypted with the pass phrase']);
  write('dev.pass', '\n');
  t.match((await checked(folder, withFile)).messages, ['holds no pass phrase', /encrypted/]);
});

t.test('a chain is worse than another where it ran out or does not link, and the other does not', async (t) => {
  const { chain, ca } = certificates();
  const now = Date.now();
  t.equal(worseThan(chain, chain, now), undefined);
  t.equal(worseThan(chain, ca, now), undefined);
  t.match(worseThan(chain, ca, now + 200 * day), /^the certificate expired on /);
  t.equal(worseThan(chain, chain, now + 1000 * day), undefined, 'both ran out');
  t.equal(worseThan(chain + chain, chain, now), 'the certificate was not issued by the one after it');
  t.match(worseThan('hello', chain, now), /no PEM certificate/);
});

const tls = (keys: string): string =>
  plainWith('balance: { policy: peak-ewma }', `tls: { ca: certs/ca.pem, ${keys} }`).replaceAll('h2c:', 'https:');

t.test('what an upstream shows to its backends is read and checked like what listeners show', async (t) => {
  const { snapshot, problems } = await loadSnapshot(
    writeConfiguration(t, tls('certificate: certs/dev.pem, key: certs/dev.key, min_version: 1.3')),
  );
  t.same(problems, []);
  const { chain, key } = certificates();
  for (const backend of snapshot?.backends ?? []) {
    t.match(backend, { clientCertificate: { chainPem: chain, keyPem: key }, minTlsVersion: '1.3', maxTlsVersion: '1.3' });
  }
  const first = async (keys: string): Promise<string> => (await problemsOf(t, tls(keys)))[0]?.replace(/^.*upstreams\.web\./, '') ?? '';
  t.equal(await first('certificate: certs/dev.pem, key: certs/ca.key'), 'tls.key: the key does not belong to the certificate');
  t.match(await first('certificate: certs/dev.key, key: certs/dev.key'), /^tls\.certificate: holds a key, not a certificate/);
  t.match(await first('certificate: certs/dev.pem, key: none.key'), /^tls\.key: none\.key: the file does not exist/);
  t.equal(await first('certificate: certs/dev.pem'), 'tls.certificate: stands without key; expected both or none');
  t.equal(await first('key: certs/dev.key'), 'tls.key: stands without certificate; expected both or none');
  t.match(await first('key_passphrase_file: x'), /^tls\.key_passphrase_file: has no meaning without a key/);

  const file = writeConfiguration(t, tls('certificate: certs/dev.pem, key: certs/dev.enc, key_passphrase_file: certs/pass'));
  const at = (name: string): string => join(dirname(file), 'certs', name);
  execFileSync('openssl', ['pkcs8', '-topk8', '-in', at('dev.key'), '-out', at('dev.enc'), '-passout', 'pass:s3same'], { stdio: 'ignore' });
  writeFileSync(at('pass'), 's3same\n', { mode: 0o600 });
  t.equal((await loadSnapshot(file)).snapshot?.backends[0]?.clientCertificate?.keyPem, key);
  writeFileSync(at('pass'), 'another\n');
  t.match((await loadSnapshot(file)).problems.map(formatProblem)[0], /upstreams\.web\.tls\.key: .*pass phrase/);
});

t.test('health checks over HTTP/3 need TLS 1.3, and show certificates as others do', async (t) => {
  const h3 = (keys: string): string => tls(keys).replace('    tls:', '    health: { protocol: h3 }\n    tls:');
  t.same(await problemsOf(t, h3('certificate: certs/dev.pem, key: certs/dev.key')), []);
  t.match(
    (await problemsOf(t, h3('max_version: 1.2')))[0],
    /web\.health\.protocol: "h3" needs TLS 1\.3, which tls\.max_version does not allow; expected h2 or http\/1\.1/,
  );
});

t.test('versions and pins of an upstream are checked', async (t) => {
  const pin = certificates().spki;
  const load = async (keys: string) => (await loadSnapshot(writeConfiguration(t, tls(keys)))).snapshot?.backends[0]?.pins;
  t.same(await load(`pins: ${pin}`), [pin]);
  t.same(await load(`pins: ['pin-sha256="${pin}"', ${pin}]`), [pin, pin], 'with its name as in RFC 7469');
  const first = async (keys: string): Promise<string> => (await problemsOf(t, tls(keys)))[0]?.replace(/^.*upstreams\.web\./, '') ?? '';
  t.match(await first('min_version: 1.1'), /^tls\.min_version: 1\.1 is not acceptable; expected 1\.2 or 1\.3/);
  t.equal(await first('min_version: "1.3", max_version: 1.2'), 'tls.min_version: "1.3" lies above max_version, 1.2');
  t.match(await first('pins: [abc]'), /^tls\.pins\[0\]: "abc" is not acceptable; expected the base64 SHA-256/);
  t.match(await first(`verify: false, pins: ${pin}`), /^tls\.pins: has no meaning without a verified chain/);
  t.match(
    (await problemsOf(t, plainWith('balance: { policy: peak-ewma }', `tls: { pins: ${pin} }`)))[0],
    /tls\.pins: has no meaning without TLS/,
  );
});
