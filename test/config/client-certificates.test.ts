import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { loadSnapshot } from '../../src/config/load.ts';
import { formatProblem } from '../../src/config/problem.ts';
import { makeAuthority } from '../support/authority.ts';
import { certificates } from '../support/certificates.ts';
import { plainWith, problemsOf, writeConfiguration } from './support/configuration.ts';

const listenerWith = (text: string): string => plainWith('    certificates:', `    ${text}\n    certificates:`);

const tlsWith = (text: string): string => listenerWith(`tls: { client_certificates: { ${text} } }`);

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
  t.match(auth?.[1]?.caFiles, [/^\/.*clients\.pem$/, /^\/.*certs\/ca\.pem$/]);
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
  const issued = makeAuthority(t.testdir(), 'x');
  t.equal((await read(t, wanted, readFileSync(issued.ca, 'utf8'))).said, '');
});
