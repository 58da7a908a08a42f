/** Which certificate a client gets: by the name it asks for and the signatures it can verify. */

import { execFileSync } from 'node:child_process';
import { randomBytes, X509Certificate } from 'node:crypto';
import { chmodSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { connectAioquic, getHead, missingAioquic, refusedAioquic, serialAioquic, shakeHands } from '../support/client/aioquic.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

const skip = missingAddon || missingAioquic;

/** CRYPTO_ERROR with the alerts of TLS (RFC 9001 §4.8). */
const UNRECOGNIZED_NAME = 0x100 + 112;

interface Made {
  readonly chain: string;
  readonly key: string;
  readonly serial: string;
}

/** A certificate that signs itself, in files of the test's folder. */
function make(folder: string, name: string, algorithm: string, names: readonly string[]): Made {
  const [chain, key] = [join(folder, `${name}.pem`), join(folder, `${name}.key`)];
  const alternative = `subjectAltName=${names.map((one) => `DNS:${one}`).join(',')}`;
  const words = [
    'req',
    '-x509',
    '-newkey',
    ...algorithm.split(' '),
    '-nodes',
    '-days',
    '30',
    '-subj',
    `/CN=${name}`,
    '-addext',
    alternative,
  ];
  execFileSync('openssl', [...words, '-keyout', key, '-out', chain], { stdio: 'ignore' });
  return { chain, key, serial: new X509Certificate(readFileSync(chain)).serialNumber.replace(/^0+/, '') };
}

function makeAll(t: Test): Record<'first' | 'rsa' | 'ecdsa' | 'wildcard', Made> {
  const folder = t.testdir();
  return {
    first: make(folder, 'first', 'ec -pkeyopt ec_paramgen_curve:P-256', ['localhost']),
    rsa: make(folder, 'rsa', 'rsa:2048', ['a.test']),
    ecdsa: make(folder, 'ecdsa', 'ec -pkeyopt ec_paramgen_curve:P-256', ['a.test']),
    wildcard: make(folder, 'wildcard', 'ec -pkeyopt ec_paramgen_curve:P-256', ['*.b.test', 'c.test']),
  };
}

const startOrigin = (t: Test) => startH2Origin(t, (request) => request.respond({ ':status': 200 }));

t.test('the name chooses the certificate, and of several the signatures that a client can verify', { skip }, async (t) => {
  const { first, rsa, ecdsa, wildcard } = makeAll(t);
  const origin = await startOrigin(t);
  const certificates = [
    { names: ['localhost'], chain: first.chain, key: first.key },
    { names: ['a.test'], chain: rsa.chain, key: rsa.key },
    { name: 'a-ecdsa', names: ['a.test'], chain: ecdsa.chain, key: ecdsa.key },
    // Its own names hold.
    { chain: wildcard.chain, key: wildcard.key },
  ];
  const edge = await startEdge(t, { backends: [origin.url], listener: { certificates } });
  const [onlyRsa, onlyEcdsa] = [['RSA_PSS_RSAE_SHA256'], ['ECDSA_SECP256R1_SHA256']];
  const given = async (servername: string, algorithms?: readonly string[]) =>
    serialAioquic(t, edge.port, { servername, ca: undefined, ...(algorithms && { algorithms }) });
  t.equal(await given('localhost'), first.serial);
  t.equal(await given('a.test', onlyRsa), rsa.serial);
  t.equal(await given('A.test', onlyEcdsa), ecdsa.serial);
  t.equal(await given('a.test'), ecdsa.serial, 'of both the one that costs less');
  t.equal(await given('x.b.test'), wildcard.serial);
  t.equal(await given('c.test'), wildcard.serial);
  t.equal(await given('x.y.b.test'), first.serial, 'the default');
  t.equal(await given('127.0.0.1'), first.serial, 'the default');
  const metrics = await edge.metrics();
  for (const [found, times] of Object.entries({ exact: 5, wildcard: 1, unknown: 1 })) {
    t.equal(metrics.sum('lychgate_server_names_total', { found }), times, found);
  }
});

t.test('where unknown names are refused the client is told so, and a known one is served', { skip }, async (t) => {
  const origin = await startOrigin(t);
  const edge = await startEdge(t, { backends: [origin.url], listener: { tls: { unknown_name: 'refuse' } } });
  const { code } = await refusedAioquic(t, edge.port, { servername: 'elsewhere.test' });
  t.equal(code, UNRECOGNIZED_NAME);
  t.equal((await edge.metrics()).sum('lychgate_server_names_refused_total', { found: 'unknown' }), 1);
  const client = await connectAioquic(t, edge.port);
  t.equal(await client.status(await client.request(getHead(edge.port))), 200);
});

t.test('edges that share keys resume what the other began, and one with keys of its own does not', { skip }, async (t) => {
  const origin = await startOrigin(t);
  const keysFile = join(t.testdir(), 'tickets.keys');
  writeFileSync(keysFile, `${randomBytes(80).toString('base64')}\n${randomBytes(48).toString('base64')}\n`, { mode: 0o600 });
  const edge = (tickets: object) => startEdge(t, { backends: [origin.url], shards: 2, listener: { tls: { tickets } } });
  const [first, second, own] = [await edge({ keys_file: keysFile }), await edge({ keys_file: keysFile }), await edge({})];
  const { isResumed, ticket } = await shakeHands(t, first.port);
  t.notOk(isResumed);
  for (const same of [first, second]) t.ok((await shakeHands(t, same.port, { ticket })).isResumed);
  t.notOk((await shakeHands(t, own.port, { ticket })).isResumed);
  t.equal((await own.metrics()).sum('lychgate_session_tickets_refused_total', { reason: 'unknown_key' }), 1);
  t.equal((await second.metrics()).sum('lychgate_handshakes_total', { outcome: 'resumed' }), 1);
  const theirs = await shakeHands(t, own.port);
  t.ok((await shakeHands(t, own.port, { ticket: theirs.ticket })).isResumed, 'by any of its shards');
});

t.test('a file of keys that changes is taken up by itself, and a bad one leaves those in use', { skip }, async (t) => {
  const origin = await startOrigin(t);
  const keysFile = join(t.testdir(), 'tickets.keys');
  const [old, young] = [randomBytes(80).toString('base64'), randomBytes(80).toString('base64')];
  const put = (mode: number, ...keys: string[]): void => {
    writeFileSync(`${keysFile}.new`, `${keys.join('\n')}\n`);
    chmodSync(`${keysFile}.new`, mode);
    renameSync(`${keysFile}.new`, keysFile);
  };
  put(0o600, old);
  const edge = await startEdge(t, { backends: [origin.url], shards: 2, listener: { tls: { tickets: { keys_file: keysFile } } } });
  const { ticket } = await shakeHands(t, edge.port);
  const told = (msg: string) => () => edge.log.find((line) => line['msg'] === msg);

  put(0o644, young);
  const refused = await until('the refusal', told('keys of session tickets refused; those before stay in use'));
  t.match(refused, { listener: 'public', file: keysFile, fault: /read by every user/ });
  t.ok((await shakeHands(t, edge.port, { ticket })).isResumed, 'the key before opens');

  put(0o600, young, old);
  await until('the change', told('keys of session tickets changed'));
  t.ok((await shakeHands(t, edge.port, { ticket })).isResumed, 'both open');
  const next = await shakeHands(t, edge.port);

  put(0o600, young);
  await until('the old key to be forgotten', async () => !(await shakeHands(t, edge.port, { ticket })).isResumed);
  t.ok((await shakeHands(t, edge.port, { ticket: next.ticket })).isResumed, 'the first of two has sealed');
  t.notMatch(edge.log.map((line) => JSON.stringify(line)).join('\n'), young.slice(0, 20));
});

t.test(
  'a strict listener answers 421 to a host that its certificate does not name, and serves every one that it does',
  { skip },
  async (t) => {
    const origin = await startOrigin(t);
    const { wildcard } = makeAll(t);
    const certificates = [{ chain: wildcard.chain, key: wildcard.key }];
    const edge = async (strict: boolean) => startEdge(t, { backends: [origin.url], listener: { certificates, tls: { strict } } });
    const [strict, lenient] = [await edge(true), await edge(false)];
    for (const { port } of [strict, lenient]) {
      const isStrict = port === strict.port;
      const client = await connectAioquic(t, port, { servername: 'c.test', ca: undefined });
      const ask = async (authority: string) => {
        const head = getHead(port).map(([name, value]): [string, string] => [name, name === ':authority' ? authority : value]);
        return client.status(await client.request(head));
      };
      // Twice in turn: what passed is remembered for the next request only.
      for (const authority of ['c.test', 'x.b.test:8443', 'c.test', 'Y.B.TEST']) t.equal(await ask(authority), 200, authority);
      for (const authority of ['d.test', 'x.y.b.test', '127.0.0.1']) t.equal(await ask(authority), isStrict ? 421 : 200, authority);
      t.equal(await ask('c.test'), 200);
    }
    const metrics = await strict.metrics();
    t.equal(metrics.sum('lychgate_request_failures_total', { reason: 'misdirected' }), 3);
    t.equal(metrics.sum('lychgate_certificate_handshakes_total', { certificate: '*.b.test', outcome: 'full' }), 1);
  },
);

t.test('a client that refuses the certificate counts as a failed handshake of it', { skip }, async (t) => {
  const origin = await startOrigin(t);
  const { first } = makeAll(t);
  const certificates = [{ name: 'own', chain: first.chain, key: first.key }];
  const edge = await startEdge(t, { backends: [origin.url], listener: { certificates } });
  // Its CA did not issue it.
  t.match(await refusedAioquic(t, edge.port), { event: 'closed' });
  const failed = async () =>
    (await edge.metrics()).sum('lychgate_certificate_handshakes_total', { listener: 'public', certificate: 'own', outcome: 'failed' });
  await until('the failure is counted', async () => (await failed()) === 1);
});
