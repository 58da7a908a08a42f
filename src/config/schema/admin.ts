/** `admin`: the API for operators and scrapers. */

import { section } from './groups.ts';
import { ADDRESS_OR_OFF_RULE, FILE_RULE, TOKEN_RULE } from './rules.ts';
import { integer, text } from './values.ts';

export const admin = section('The admin API: metrics, health, status.', {
  address: text(ADDRESS_OR_OFF_RULE, {
    prose: 'IP address and TCP port, or `off`. Any address but loopback needs a token.',
    fallback: '127.0.0.1:9901',
  }),
  token: text(TOKEN_RULE, {
    prose: 'Bearer token that callers must show. Better kept in a file or in the environment.',
    absent: '',
    example: 'change-me-to-a-long-random-text',
    isSecret: true,
  }),
  token_file: text(FILE_RULE, { prose: 'File that holds the token, in place of `token`.', absent: '', example: 'admin.token' }),
  max_connections: integer({
    min: 16,
    max: 10_000,
    fallback: 256,
    prose:
      'Connections at once. With all taken the one that has been quiet longest is closed for the next; requests get 503 `admin_busy` where they would take the last eighth, which is left to /healthz and /readyz.',
  }),
  probes: section('/healthz and /readyz at an address of their own, with connections of their own; they stay where they are as well.', {
    address: text(ADDRESS_OR_OFF_RULE, {
      prose: 'IP address and TCP port, or `off`. Nothing else is answered there, and no address needs a token.',
      fallback: 'off',
    }),
  }),
});
