/**
 * Files as nobody means them: configurations, certificates, keys, revocation lists and keys of
 * tickets in which something is cut, doubled, swapped or replaced. Whatever they hold, reading them
 * ends with what they say or with problems that say where they are, and never throws. A hundred or
 * two of each kind; `FUZZ=20000` makes it so many.
 */

import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import t from 'tap';
import { createAuthority, issue, revoke } from '../../src/cli/pki/folder.ts';
import { readAuthorities, readCertificate, readClientCertificate } from '../../src/config/certificates/certificates.ts';
import { listsIn, readList } from '../../src/config/certificates/revocation.ts';
import { readTicketKeys } from '../../src/config/certificates/ticket-keys.ts';
import { loadSnapshot } from '../../src/config/load.ts';
import { type Complaint, formatProblem, type Problem } from '../../src/config/problem.ts';
import { Files } from '../../src/config/read/files.ts';
import { toBindingCertificate } from '../../src/native/convert.ts';
import { addon, skip } from '../support/addon.ts';
import { certificates } from '../support/certificates.ts';
import { PLAIN, writeConfiguration } from './support/configuration.ts';
import { EVERYTHING } from './support/everything.ts';

const wished = Number(process.env['FUZZ'] ?? 0);
t.setTimeout(wished > 0 ? 3_600_000 : 150_000);

/**
 * What stands in for a part of a text: what YAML, JavaScript, PEM or our own rules could stumble
 * over.
 */
const TOKENS = [
  ...[
    '',
    ' ',
    '\n',
    '\t',
    '\r\n',
    '\u0000',
    '\ufeff',
    '\u2028',
    '\ud83d\ude00',
    '\u0301',
    '-',
    ': ',
    '- ',
    '{',
    '}',
    '[',
    ']',
    '"',
    "'",
    '#',
    '|',
    '>',
    '&a ',
    '*a',
  ],
  ...[
    '!!binary ',
    '!!set ',
    '<<: ',
    '%YAML 1.1\n',
    '---\n',
    '...\n',
    '? ',
    '~',
    'null',
    'true',
    'yes',
    '0',
    '-1',
    '1e309',
    '.nan',
    '0x10',
    '99999999999999999999',
  ],
  ...[
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    'length',
    '\\u0000',
    '${x}',
    '*',
    '**',
    '(?<',
    '[[:alpha:',
    '2001:db8::/129',
    '::1%eth0',
    '0/0',
    'xn--',
    'a'.repeat(300),
  ],
  ...['-----BEGIN CERTIFICATE-----\n', '-----END CERTIFICATE-----\n', '-----BEGIN PRIVATE KEY-----\n', '=', 'AAAA', '\u00ff\u00fe', 'MIIB'],
];

/** One thing that is done to a text; places are shares of its length. */
const mutation = fc.record({
  kind: fc.constantFrom('cut', 'drop', 'double', 'insert', 'replace', 'swap', 'indent'),
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  length: fc.nat({ max: 40 }),
  token: fc.oneof(fc.constantFrom(...TOKENS), fc.string({ maxLength: 12, unit: 'binary' })),
});
type Mutation = typeof mutation extends fc.Arbitrary<infer T> ? T : never;

function mutate(text: string, mutations: readonly Mutation[]): string {
  return mutations.reduce((now, { kind, at, length, token }) => {
    const place = Math.floor(at * now.length);
    const end = place + length;
    // Whole lines, where a file is made of them.
    const line = now.lastIndexOf('\n', place) + 1;
    const next = now.indexOf('\n', place) + 1 || now.length;
    if (kind === 'cut') return now.slice(0, place);
    if (kind === 'drop') return now.slice(0, place) + now.slice(end);
    if (kind === 'double') return now.slice(0, next) + now.slice(line, next) + now.slice(next);
    if (kind === 'insert') return now.slice(0, place) + token + now.slice(place);
    if (kind === 'replace') return now.slice(0, place) + token + now.slice(end);
    if (kind === 'swap') return now.slice(0, line) + now.slice(next) + now.slice(line, next);
    return now.slice(0, line) + ' '.repeat(length % 8) + now.slice(line);
  }, text);
}

const mutations = fc.array(mutation, { minLength: 1, maxLength: 4 });

/** A configuration in which one value became another. */
const TEXTS = [
  PLAIN,
  EVERYTHING,
  readFileSync(join(import.meta.dirname, '../../config/full.yaml'), 'utf8').replaceAll('../certs/', 'certs/'),
];

t.test('a configuration is taken, or every problem with it has its file, its line where there is one, and its key', async (t) => {
  const file = writeConfiguration(t, PLAIN);
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...TEXTS), mutations, async (base, list) => {
      const text = mutate(base, list);
      writeFileSync(file, text);
      const { snapshot, config, problems } = await loadSnapshot(file);
      const errors = problems.filter(({ severity }) => severity === 'error');
      refused += errors.length > 0 ? 1 : 0;
      if ((snapshot === undefined) !== errors.length > 0 || (snapshot !== undefined && config === undefined))
        throw new Error('neither taken nor refused');
      for (const problem of problems) checkProblem(problem, file, text);
    }),
    { numRuns: wished || 150 },
  );
  t.ok(refused > 10, `${refused} were refused`);
});

function checkProblem(problem: Problem, file: string, text: string): void {
  const { place, path, message } = problem;
  const said = formatProblem(problem);
  const fail = (why: string): never => {
    throw new Error(`${why}: ${said}`);
  };
  if (place.source !== file) fail('another file');
  if (message.trim() === '' || /undefined|\[object|NaN\b(?!")/.test(message)) fail('no message');
  if (/\p{Cc}/u.test(said)) fail('more than a line, or controls in it');
  // The file as a whole has no line: it is empty, binary or nested too deeply.
  if (place.line === undefined ? path.length > 0 : place.line < 1 || place.line > text.split(/\r\n|\r|\n/).length + 1) fail('no such line');
}

/** Bytes as `latin1` has them, so that any can be changed. */
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

t.test('files of certificates, keys and authorities are read, or what is wrong is said', { skip }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'lychgate-mutations-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const { chain, key, ca } = certificates();
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  const ed25519 = generateKeyPairSync('ed25519').privateKey;
  const keys = [
    key,
    rsa.export({ type: 'pkcs1', format: 'pem' }).toString(),
    rsa.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-128-cbc', passphrase: 'x' }).toString(),
    ed25519.export({ type: 'pkcs8', format: 'pem' }).toString(),
  ];
  const der = Buffer.from(chain.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64').toString('latin1');
  let good = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(chain, chain + ca, chain + key, der),
      fc.constantFrom(...keys),
      fc.array(mutation, { maxLength: 3 }),
      fc.array(mutation, { maxLength: 2 }),
      fc.boolean(),
      async (chainText, keyText, ofChain, ofKey, isInside) => {
        // What is in the base64 is changed as well as what is around it.
        writeFileSync(join(folder, 'chain'), isInside ? withinBase64(chainText, ofChain) : bytes(mutate(chainText, ofChain)));
        writeFileSync(join(folder, 'key'), isInside ? withinBase64(keyText, ofKey) : bytes(mutate(keyText, ofKey)), { mode: 0o600 });
        const files = new Files(folder);
        const named = { name: '', names: [], chain: 'chain', key: 'key', key_passphrase_file: '', ocsp: '' };
        const { certificate, complaints } = await readCertificate(named, ['here'], files, Date.now());
        checkComplaints(complaints, certificate !== undefined);
        if (certificate !== undefined) {
          good += 1;
          const said = addon?.checkCertificate(toBindingCertificate(certificate)) ?? [];
          if (said.length > 0) throw new Error(`the reactors do not take what was checked: ${said.join('; ')}`);
        } else
          addon?.checkCertificate({
            label: 'a',
            names: [],
            chainPem: mutate(chainText, ofChain),
            keyPem: mutate(keyText, ofKey),
            ocsp: bytes(chainText),
          });
        const client = await readClientCertificate(
          { certificate: 'chain', key: 'key', key_passphrase_file: 'key' },
          [],
          new Files(folder),
          Date.now(),
        );
        checkComplaints(client.complaints, client.certificate !== undefined);
        const found: Complaint[] = [];
        const authorities = await readAuthorities('chain', ['ca'], files, found);
        if (authorities === undefined && found.length === 0) throw new Error('neither authorities nor a complaint');
      },
    ),
    { numRuns: wished || 150 },
  );
  t.ok(good > 0, `${good} could be used`);
});

function checkComplaints(complaints: readonly Complaint[], isUsable: boolean): void {
  const errors = complaints.filter(({ severity }) => severity !== 'warning');
  if (isUsable === errors.length > 0) throw new Error(`used ${isUsable}: ${JSON.stringify(complaints)}`);
  for (const { message } of complaints) {
    if (/[A-Za-z0-9+/]{40}/.test(message) || message.includes('\n') || message.trim() === '') throw new Error(`said: ${message}`);
  }
}

/** PEM of which the DER is changed. */
function withinBase64(pem: string, list: readonly Mutation[]): Buffer {
  return bytes(
    pem.replaceAll(/(-----BEGIN [^-]+-----\n)([^-]+)(-----END)/g, (_, begin: string, body: string, end: string) => {
      const changed = mutate(Buffer.from(body, 'base64').toString('latin1'), list);
      return `${begin}${bytes(changed).toString('base64').replaceAll(/.{64}/g, '$&\n')}\n${end}`;
    }),
  );
}

t.test('a revocation list of which something is another revokes what it revoked, or what is wrong is said', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'lychgate-mutations-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  createAuthority(folder, 'CA of mutations', 10, false);
  const wishes = { names: [], usage: 'client', days: 5, isForced: false } as const;
  for (const name of ['a', 'b', 'c'])
    revoke(folder, issue(folder, { ...wishes, commonName: name, out: join(folder, name) }).chain, 'superseded');
  const [pem, ca] = ['crl.pem', 'ca.pem'].map((name) => readFileSync(join(folder, name), 'utf8')) as [string, string];
  const authorities = [new X509Certificate(ca)];
  const der = Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64').toString('latin1');
  const sound = readList(new Uint8Array(bytes(der)), authorities);
  t.match(sound, { count: 3 });
  let refused = 0;
  await fc.assert(
    fc.property(fc.constantFrom(pem, pem + ca, der), mutations, fc.boolean(), (base, list, isInside) => {
      const file = isInside && base !== der ? withinBase64(base, list) : bytes(mutate(base, list));
      const lists = listsIn(new Uint8Array(file), file.toString('utf8'));
      if (typeof lists !== 'string' && lists.length === 0) throw new Error('neither lists nor a word');
      for (const one of typeof lists === 'string' ? [] : lists) {
        const read = readList(one, authorities);
        refused += typeof read === 'string' ? 1 : 0;
        if (typeof read !== 'string' && !isDeepStrictEqual(read, sound)) throw new Error('it says something else');
      }
    }),
    { numRuns: wished || 300 },
  );
  t.ok(refused > 10, `${refused} were refused`);
});

t.test('a file of keys of session tickets gives keys of 48 or 80 bytes, or what is wrong is said', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'lychgate-mutations-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const lines = [48, 80, 48].map((length, place) => Buffer.alloc(length, place + 1).toString('base64')).join('\n');
  const path = join(folder, 'keys');
  writeFileSync(path, '');
  chmodSync(path, 0o600);
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(lines, '\u0001'.repeat(48), '\u00ff'.repeat(80)), mutations, async (base, list) => {
      writeFileSync(path, bytes(mutate(base, list)));
      const complaints: Complaint[] = [];
      const keys = await readTicketKeys('keys', ['keys_file'], new Files(folder), complaints);
      if (keys.length === 0 ? complaints.length !== 1 : complaints.length > 0) throw new Error(JSON.stringify(complaints));
      if (keys.some(({ length }) => length !== 48 && length !== 80)) throw new Error('a key of another length');
    }),
    { numRuns: wished || 300 },
  );
});
