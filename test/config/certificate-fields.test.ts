import t from 'tap';
import { plainWith, problemsOf } from './support/configuration.ts';

const withForward = (mode: string, forward: string): string =>
  plainWith('    certificates:', `    tls: { client_certificates: { mode: ${mode}, forward: { ${forward} } } }\n    certificates:`);

const OPTIONAL = 'optional, ca: certs/ca.pem';

t.test('a field that tells of certificates has a name that means nothing else', async (t) => {
  const taken = [
    'client-cert',
    'Client_Cert',
    'client-cert-chain',
    'host',
    'connection',
    'x-forwarded-for',
    'x_request_id',
    'cookie',
    ':path',
  ];
  for (const name of taken) {
    const [said = ''] = await problemsOf(t, withForward(OPTIONAL, `subject: "${name}"`));
    t.match(said, /edge\.yaml:5:\d+: error: listeners\[0\]\.tls\.client_certificates\.forward\.subject: /, name);
    t.match(said, /expected the name of a header field that means nothing else/);
  }
  t.match(await problemsOf(t, withForward(OPTIONAL, 'subject: x-client, issuer: X-Client')), [
    /forward\.issuer: "x-client" stands already in forward\.subject; expected each field to have its own/,
  ]);
});

t.test('what nobody verified is not told without saying so, and nothing is told where nobody is asked', async (t) => {
  for (const forward of ['rfc9440: certificate', 'subject: x-client', 'fingerprint: x-print, names: x-client']) {
    t.match(await problemsOf(t, withForward('any', forward)), [
      /forward\.(?:rfc9440|subject|names): .*passes on what nobody verified.*; expected forward\.verdict beside it/,
    ]);
    t.strictSame(await problemsOf(t, withForward('any', `${forward}, verdict: x-verdict`)), []);
  }
  t.strictSame(await problemsOf(t, withForward('any', 'fingerprint: x-print')), []);
  t.match(await problemsOf(t, withForward('off', 'fingerprint: x-print')), [/forward\.fingerprint: .*has no meaning with mode: off/]);
});

t.test('conditions that no certificate can fit, or that say nothing of it, are mistakes', async (t) => {
  const route = (keys: string) => `${plainWith('routes:', 'routes:')}  - { match: { path: /x }, upstream: web, ${keys} }\n`;
  const match = (text: string) => route('').replace('path: /x', `path: /x, client_certificate: { ${text} }`);
  t.match(await problemsOf(t, match('fingerprint: ab')), [
    /match\.client_certificate\.fingerprint: "ab" is what no certificate has; expected SHA-256/,
  ]);
  t.match(await problemsOf(t, match('verdict: good')), [/client_certificate\.verdict: .*expected verified or unverified/]);
  t.match(await problemsOf(t, match('serial: xyz')), [/client_certificate\.serial: .*expected hex digits/]);
  t.match(await problemsOf(t, match('name: a')), [/client_certificate\.name: .*; expected one of verdict, fingerprint/]);
  t.strictSame(await problemsOf(t, match(`fingerprint: "${'AB:'.repeat(31)}AB", uri: { prefix: a }`)), []);
  for (const key of ['client_certificates', 'deny_client_certificates']) {
    t.match(await problemsOf(t, route(`access: { ${key}: [{}] }`)), [
      /access\.(?:deny_)?client_certificates\[0\]: says nothing of the certificate/,
    ]);
    t.match(await problemsOf(t, route(`access: { ${key}: [{ uri: {} }] }`)), [/client_certificates\[0\]\.uri: says nothing of the value/]);
  }
});
