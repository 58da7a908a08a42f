/** `admin`: the API for operators and scrapers. */

import { section } from './groups.ts';
import { ADDRESS_OR_OFF_RULE, FILE_RULE, TOKEN_RULE } from './rules.ts';
import { text } from './values.ts';

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
});
