/** `client_certificates`: what clients must prove with a certificate of their own. */

import { isIP } from 'node:net';
import type { z } from 'zod';
import { certificateFields } from './certificate-fields.ts';
import { list, mapping, section, someOf, words } from './groups.ts';
import { CERTIFICATE_NAME_RULE, FILE_RULE } from './rules.ts';
import { choice, flag, integer, size, type TextRule, text } from './values.ts';

const MODES = ['off', 'optional', 'required', 'any'] as const;

const MODE_PROSE =
  '`required` asks for a certificate and refuses who has none, `optional` takes those too; one that is shown must hold in both. `any` asks, verifies nothing and passes on what it got. `off` does not ask.';

const FINGERPRINT_RULE: TextRule = {
  expected: 'the SHA-256 of a certificate: 64 hexadecimal digits, with or without colons',
  range: 'hex SHA-256',
  normalise: (given) => {
    const digits = given
      .replace(/^sha-?256[:=]/i, '')
      .replaceAll(':', '')
      .toLowerCase();
    return /^[0-9a-f]{64}$/.test(digits) ? digits : undefined;
  },
};

const DNS_RULE: TextRule = {
  expected: 'a host name, or a wildcard of one label such as *.clients.example.org',
  range: 'host name, `*.` wildcard',
  normalise: (given) => (isIP(given) === 0 ? CERTIFICATE_NAME_RULE.normalise(given) : undefined),
};

const URI_RULE: TextRule = {
  expected: 'a URI such as spiffe://example.org/web, or one with /* at its end for all below it',
  range: 'URI, URI with `/*`',
  normalise: (given) => (/^[a-zA-Z][a-zA-Z0-9+.-]*:(?:[!-)+-~]+|[!-)+-~]+\/\*)$/.test(given) ? given : undefined),
};

const EMAIL_RULE: TextRule = {
  expected: 'a mail address',
  range: 'mail address',
  normalise: (given) => (/^[!-?A-~]+@[!-?A-~]+$/.test(given) ? given : undefined),
};

const SUBJECT_RULE: TextRule = {
  expected: 'a subject as RFC 4514 writes it, the last part first: CN=web,O=Example',
  range: 'RFC 4514 name',
  normalise: normaliseSubject,
};

/** As BoringSSL writes it: no blanks beside separators, bytes outside of ASCII escaped. */
function normaliseSubject(given: string): string | undefined {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: no name has any.
  if (!/^\s*[A-Za-z0-9.]+\s*=/.test(given) || /[\0-\x1f\x7f]/.test(given) || given.length > 1_024) return undefined;
  const plain = given
    .trim()
    .replaceAll(/(?<!\\)\s*([,+])\s*(?=[A-Za-z0-9.]+\s*=)/g, '$1')
    .replaceAll(/(^|[,+])([A-Za-z0-9.]+)\s*=\s*/g, '$1$2=');
  const escaped = (character: string): string =>
    [...Buffer.from(character, 'utf8')].map((byte) => `\\${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('');
  return plain.replaceAll(/[^ -~]/gu, escaped).replaceAll(/\\([0-9a-fA-F]{2})/g, (pair) => pair.toUpperCase());
}

const allowed = mapping('A client that is allowed: all that is given here has to stand in its certificate.', {
  dns: text(DNS_RULE, { absent: '', prose: 'A host among its alternative names.', example: '*.clients.example.org' }),
  uri: text(URI_RULE, { absent: '', prose: 'A URI among its alternative names.', example: 'spiffe://example.org/web/*' }),
  email: text(EMAIL_RULE, { absent: '', prose: 'A mail address among its alternative names.', example: 'ops@example.org' }),
  subject: text(SUBJECT_RULE, { absent: '', prose: 'Its whole subject.', example: 'CN=web,O=Example' }),
});

const common = {
  ca: words(
    'PEM files of the authorities. Each certificate in them is trusted by itself, be it a root or not; an old and a new one may stand beside each other.',
    text(FILE_RULE, { prose: 'PEM file of an authority or of several.', example: 'certs/ca.pem' }),
    { example: ['certs/ca.pem'] },
  ),
  send_ca_names: flag({
    fallback: true,
    prose:
      'Clients are told the names of the authorities, by which they choose. More than 8 KiB of them are not told. Off, nobody learns them and clients choose by themselves.',
  }),
  max_depth: integer({
    min: 0,
    max: 10,
    fallback: 3,
    prose: "Certificates between the client's and the authority's, at most.",
  }),
  max_size: size({ min: '1KiB', max: '32KiB', fallback: '16KiB', prose: 'Bytes of all certificates that a client shows, at most.' }),
  forward: certificateFields,
  crl: words(
    'Files of revocation lists (PEM or DER), each signed by an authority of `ca`. With any, every authority of a chain has to have one.',
    text(FILE_RULE, { prose: 'A revocation list.', example: 'certs/ca.crl' }),
    { example: ['certs/ca.crl'] },
  ),
  expired_crl: choice(['refuse', 'accept'], {
    fallback: 'refuse',
    prose: 'What becomes of clients while the list of their authority is older than it says it may be.',
  }),
  missing_crl: choice(['refuse', 'accept'], {
    fallback: 'refuse',
    prose: 'What becomes of clients whose authority has no list among those of `crl`.',
  }),
  deny: words(
    'Certificates that are refused, whoever issued them.',
    text(FINGERPRINT_RULE, { prose: 'SHA-256 of a certificate (`openssl x509 -noout -fingerprint -sha256`).', example: 'a1'.repeat(32) }),
    { example: ['a1'.repeat(32)] },
  ),
  allow: someOf(
    'Clients that are allowed: one of these has to apply. Every client whose certificate holds is, where there is none.',
    allowed,
  ),
  keep_connections: flag({
    fallback: false,
    prose:
      'Connections stay open when a change, or time, has made their certificate worth nothing. Otherwise they are ended: no further request is taken, what is under way has five seconds.',
  }),
};

/** For all names that have no entry of their own. */
export const clientCertificates = section(
  'Certificates of clients, wanted of all server names that `client_certificates` of the listener does not name. What these keys say is part of session tickets, and who is asked for a certificate does not resume.',
  { mode: choice(MODES, { fallback: 'off', prose: MODE_PROSE }), ...common },
);

const named = mapping('What clients of some server names must prove.', {
  names: list(
    "Server names that it is for, in the place of the listener's `tls.client_certificates`: an exact name before a wildcard.",
    text(CERTIFICATE_NAME_RULE, { prose: 'Host name, wildcard of one label, or IP address.', example: 'admin.example.org' }),
  ),
  mode: choice(MODES, { prose: MODE_PROSE, example: 'required' }),
  ...common,
});

/** By server name. */
export const clientCertificatesByName = someOf(
  'Certificates of clients by server name. A request for a host of which another is wanted than of the name that the connection was opened with gets 421 (Misdirected Request).',
  named,
);

export type ClientCertificates = Omit<z.output<typeof named>, 'names'>;
