/** `client_certificates`: what clients must prove with a certificate of their own. */

import type { z } from 'zod';
import { certificateFields } from './certificate-fields.ts';
import { list, mapping, section, someOf, words } from './groups.ts';
import { CERTIFICATE_NAME_RULE, FILE_RULE } from './rules.ts';
import { choice, flag, integer, size, text } from './values.ts';

const MODES = ['off', 'optional', 'required', 'any'] as const;

const MODE_PROSE =
  '`required` asks for a certificate and refuses who has none, `optional` takes those too; one that is shown must hold in both. `any` asks, verifies nothing and passes on what it got. `off` does not ask.';

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
