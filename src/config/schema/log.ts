/** `log`: what is written to standard output, one JSON object a line. */

import { section } from './groups.ts';
import { choice, flag, share } from './values.ts';

const access = section('The access log: one line an exchange.', {
  enabled: flag({ fallback: true, prose: 'Write it at all.' }),
  sample: share({ fallback: 1, prose: 'Share of exchanges that are written.' }),
  client_certificates: flag({
    fallback: false,
    prose:
      'Lines of clients that showed a certificate have `client_certificate`: verdict, fingerprint, serial number (64 digits at most) and subject (256 characters at most).',
  }),
  failures: flag({ fallback: true, prose: 'Write every failure (a reason, or status 500 and above) whatever the sample says.' }),
});

export const log = section('Logs.', {
  level: choice(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], {
    fallback: 'info',
    prose: 'Least severity that is written; can be changed at run time over the admin API. The access log does not depend on it.',
  }),
  access,
});
