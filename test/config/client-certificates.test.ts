import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { loadSnapshot } from '../../src/config/load.ts';
import { formatProblem } from '../../src/config/problem.ts';
import { type Authority, makeAuthority, timeFromNow } from '../support/authority.ts';
import { certificates } from '../support/certificates.ts';
import { until } from '../support/wait.ts';
import { plainWith, problemsOf, writeConfiguration } from './support/configuration.ts';

const listenerWith = (text: string): string => plainWith('    certificates:', `    ${text}\n    certificates:`);

const tlsWith = (text: string): string => listenerWith(`tls: { client_certificates: { ${text} } }`);

/** A folder beside that of the configuration. */
function folderOf(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'lychgate-authorities-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** What is read of a configuration whose file `clients.pem` holds a text. */
async function read(t: Test, configuration: string, clients: string) {
  const file = writeConfiguration(t, configuration);
  writeFileSync(join(dirname(file), 'clients.pem'), clients);
  const { snapshot, problems } = await loadSnapshot(file);
  return { auth: snapshot?.listeners[0]?.clientAuth, said: problems.map(formatProblem).join('\n') };
}

t.test('what clients must prove is read for all names and for some', async (t) => {
  const { ca } = certificates();
  const text =
    'tls: { client_certificates: { mode: optional, ca: clients.pem } }\n    client_certificates:\n      - { names: [A.test, "*.b.test"], mode: required, ca: [clients.pem, certs/ca.pem], send_ca_names: off, max_depth: 0, max_size: 4KiB }';
  const { auth, said } = await read(t, listenerWith(text.replace('send_ca_names: off', 'send_ca_names: false')), `before\r\n${ca}after`);
  t.equal(said, '');
  t.match(auth, [
    { names: [], mode: 'optional', tellsAuthorities: true, maxDepth: 3, maxBytes: 16_384 },
    { names: ['a.test', '*.b.test'], mode: 'required', tellsAuthorities: false, maxDepth: 0, maxBytes: 4_096 },
  ]);
  t.same(
    auth?.map(({ caPem }) => caPem.match(/BEGIN CERTIFICATE/g)?.length),
    [1, 2],
  );
  t.match(auth?.[1]?.source.ca, [/^\/.*clients\.pem$/, /^\/.*certs\/ca\.pem$/]);
});

t.test('a mode without the authorities it needs, or with some that it has no use for, is told with its place', async (t) => {
  t.match(await problemsOf(t, tlsWith('mode: required')), [
    /edge\.yaml:5:\d+: error: listeners\[0\]\.tls\.client_certificates\.ca: is missing; expected files of authorities, or mode: any/,
  ]);
  t.match(await problemsOf(t, tlsWith('ca: certs/ca.pem')), [/client_certificates\.ca: .*has no meaning with mode: off/]);
  t.match(await problemsOf(t, tlsWith('mode: any, ca: certs/ca.pem')), [/client_certificates\.ca: .*has no meaning with mode: any/]);
  t.match(await problemsOf(t, tlsWith('mode: on')), [/client_certificates\.mode: .*; expected one of off, optional, required, any/]);
  const twice = '{ names: [a.test], mode: any }';
  t.match(await problemsOf(t, listenerWith(`client_certificates: [${twice}, ${twice.replace('a.test', 'A.test.')}]`)), [
    /listeners\[0\]\.client_certificates\[1\]\.names\[0\]: "a\.test" stands already in client_certificates\[0\]/,
  ]);
  t.match(await problemsOf(t, listenerWith('client_certificates: [{ mode: any }]')), [/client_certificates\[0\]\.names: is missing/]);
});

t.test('a file of authorities that holds none is refused, and one that vouches for nobody is told', async (t) => {
  const wanted = tlsWith('mode: required, ca: clients.pem');
  const at = /edge\.yaml:5:\d+: error: listeners\[0\]\.tls\.client_certificates\.ca\[0\]: /;
  for (const [text, told] of [
    ['', /holds no PEM certificate/],
    [certificates().key, /holds a key, not a certificate/],
    [certificates().ca.slice(0, -40), /is cut off/],
  ] as const) {
    const { auth, said } = await read(t, wanted, text);
    t.equal(auth, undefined);
    t.match(said, at);
    t.match(said, told);
  }
  t.match((await problemsOf(t, wanted)).join(), /clients\.pem: the file does not exist/);
  const { auth, said } = await read(t, wanted, `${certificates().chain.split('-----END CERTIFICATE-----')[0]}-----END CERTIFICATE-----\n`);
  t.equal(auth?.length, 1);
  t.match(said, /warning: .*is not the certificate of an authority/);
  const issued = makeAuthority(folderOf(t), 'x');
  t.equal((await read(t, wanted, readFileSync(issued.ca, 'utf8'))).said, '');
});

/** What is read of a policy with a list, whose content is `list`. */
async function readList(t: Test, authority: Authority, list: string | Buffer, more = '') {
  const text = tlsWith(`mode: required, ca: clients.pem, crl: [clients.crl]${more}`);
  const file = writeConfiguration(t, text);
  writeFileSync(join(dirname(file), 'clients.pem'), readFileSync(authority.ca));
  writeFileSync(join(dirname(file), 'clients.crl'), list);
  const { snapshot, problems } = await loadSnapshot(file);
  return { lists: snapshot?.listeners[0]?.clientAuth[0]?.lists, said: problems.map(formatProblem).join('\n') };
}

t.test('a revocation list is read in PEM and DER, several in one file too', async (t) => {
  const authority = makeAuthority(folderOf(t), 'x');
  const pairs = [authority.issue('a'), authority.issue('b')];
  for (const pair of pairs) authority.revoke(pair);
  const [pem, der] = [readFileSync(authority.list()), readFileSync(authority.list({ form: 'DER', file: 'der.crl' }))];
  const packed = pairs
    .map(({ serial }) => Buffer.from(serial, 'hex'))
    .map((serial) => Buffer.concat([Buffer.from([serial.length]), serial]));
  for (const [content, times] of [
    [pem, 1],
    [der, 1],
    [`text before\r\n${pem}${pem}`, 2],
  ] as const) {
    const { lists, said } = await readList(t, authority, content);
    t.equal(said, '');
    t.equal(lists?.length, times);
    for (const { count, serials, signer } of lists ?? []) {
      t.equal(count, 2);
      t.same(Buffer.from(serials), Buffer.concat(packed));
      t.equal(
        Buffer.from(signer).toString('hex'),
        new X509Certificate(readFileSync(authority.ca)).fingerprint256.replaceAll(':', '').toLowerCase(),
      );
    }
  }
  authority.issue('c');
  t.equal((await readList(t, makeAuthority(folderOf(t), 'empty'), readFileSync(authority.list()))).lists, undefined);
});

t.test('a list that says nothing, is of somebody else or of a kind that is not understood is refused with its line', async (t) => {
  const folder = folderOf(t);
  const [authority, namesake, other] = [makeAuthority(folder, 'x'), makeAuthority(folder, 'x'), makeAuthority(folder, 'other')];
  const pem = readFileSync(authority.list(), 'utf8');
  const der = readFileSync(authority.list({ form: 'DER', file: 'der.crl' }));
  const at = /edge\.yaml:5:\d+: error: listeners\[0\]\.tls\.client_certificates\.crl\[0\]: /;
  for (const [content, told] of [
    ['', /holds no revocation list/],
    [readFileSync(authority.ca), /holds a CERTIFICATE, no revocation list/],
    [pem.slice(0, -40), /is cut off/],
    [der.subarray(0, -3), /cannot be read: an element is cut off/],
    [Buffer.concat([der, Buffer.from([0])]), /cannot be read: something else stands there/],
    [readFileSync(other.list()), /its issuer is none of the authorities in ca/],
    [readFileSync(namesake.list()), /it is not signed by the authority whose name it bears/],
    [readFileSync(authority.list({ digest: 'sha1' })), /or with SHA-1/],
    [readFileSync(authority.list({ extensions: '2.5.29.27 = critical, DER:020101' })), /a delta list/],
    [readFileSync(authority.list({ extensions: '2.5.29.28 = critical, DER:3003840101' })), /an indirect list/],
    [readFileSync(authority.list({ extensions: '1.2.3.4 = critical, DER:0500' })), /an extension that is not known here \(1\.2\.3\.4\)/],
  ] as const) {
    const { lists, said } = await readList(t, authority, content);
    t.equal(lists, undefined);
    t.match(said, at);
    t.match(said, told);
  }
  const scoped = readFileSync(authority.list({ extensions: '2.5.29.28 = critical, DER:30038101FF' }));
  t.equal((await readList(t, authority, scoped)).lists?.length, 1, 'one of users alone');
  const past = readFileSync(authority.list({ until: timeFromNow(2_000) }));
  await until('the list to run out', async () =>
    /ran out on .*; its clients are refused then/.test((await readList(t, authority, past)).said),
  );
  t.match((await readList(t, authority, past, ', expired_crl: accept')).said, /it is used all the same/);
});

t.test('signatures of every kind of key that an authority may have are verified', async (t) => {
  for (const algorithm of ['rsa:2048', 'ec -pkeyopt ec_paramgen_curve:P-384', 'ed25519']) {
    const authority = makeAuthority(folderOf(t), 'x', algorithm.split(' '));
    const pair = authority.issue('a');
    authority.revoke(pair);
    const digest = algorithm === 'ed25519' ? 'null' : 'sha384';
    t.equal((await readList(t, authority, readFileSync(authority.list({ digest })))).lists?.[0]?.count, 1, algorithm);
  }
});

t.test('rules about clients are read in one form, and those that make no sense are told', async (t) => {
  const hex = 'AB'.repeat(32);
  const deny = `deny: ["${hex}", "sha256:${hex.match(/../g)?.join(':').replace('AB', 'CD')}"]`;
  const allow = 'allow: [{ dns: "*.A.test." }, { uri: "spiffe://a/*" }, { email: a@b.c }, { subject: "CN = Jos\u00e9, O=Example" }]';
  const { auth, said } = await read(t, tlsWith(`mode: required, ca: clients.pem, ${deny}, ${allow}`), certificates().ca);
  t.equal(said, '');
  t.same(auth?.[0]?.denied, ['ab'.repeat(32), `cd${'ab'.repeat(31)}`]);
  t.match(auth?.[0]?.allowed, [
    { dns: '*.a.test', uri: '' },
    { uri: 'spiffe://a/*' },
    { email: 'a@b.c' },
    { subject: 'CN=Jos\\C3\\A9,O=Example' },
  ]);
  for (const [text, told] of [
    ['mode: any, allow: [{ dns: a.test }]', /allow: .*has no meaning with mode: any/],
    ['mode: any, crl: x', /crl: .*has no meaning with mode: any/],
    [`deny: "${hex}"`, /deny: .*has no meaning with mode: off/],
    ['mode: required, ca: certs/ca.pem, expired_crl: accept', /expired_crl: .*has no meaning without lists/],
    ['mode: required, ca: certs/ca.pem, allow: [{}]', /allow\[0\]: .*allows nobody/],
    ['mode: required, ca: certs/ca.pem, deny: abc', /deny: .*expected the SHA-256 of a certificate/],
    ['mode: required, ca: certs/ca.pem, allow: [{ uri: "spiffe://a*" }]', /uri: .*expected a URI/],
    ['mode: required, ca: certs/ca.pem, allow: [{ dns: 127.0.0.1 }]', /dns: .*expected a host name/],
    ['mode: required, ca: certs/ca.pem, allow: [{ subject: web }]', /subject: .*expected a subject/],
  ] as const) {
    t.match((await problemsOf(t, tlsWith(text))).join('\n'), told);
  }
});
