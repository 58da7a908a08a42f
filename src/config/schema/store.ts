/** `store`: where limits are kept that several edges share. */

import { optional } from './groups.ts';
import { FILE_RULE } from './rules.ts';
import { duration, type TextRule, text } from './values.ts';

/** URL of a Redis or Valkey server. */
export const STORE_URL_RULE: TextRule = {
  expected: 'a URL such as redis://127.0.0.1:6379/0, or rediss:// for TLS',
  range: 'URL',
  normalise: (given) => {
    if (!/^rediss?:\/\/[!-~]+$/.test(given) || !URL.canParse(given)) return undefined;
    return new URL(given).hostname === '' ? undefined : given;
  },
};

const PREFIX_RULE: TextRule = {
  expected: 'up to 64 printable characters without spaces',
  range: 'text',
  normalise: (given) => (/^[!-~]{1,64}$/.test(given) ? given : undefined),
};

export const store = optional('A Redis or Valkey server for limits that several edges share.', {
  url: text(STORE_URL_RULE, {
    prose: 'Address, with user and password where they are needed. Better kept in a file then.',
    absent: '',
    example: 'redis://127.0.0.1:6379/0',
    isSecret: true,
  }),
  url_file: text(FILE_RULE, { prose: 'File that holds the address, in place of `url`.', absent: '', example: 'store.url' }),
  prefix: text(PREFIX_RULE, {
    fallback: 'lychgate:',
    prose: 'What the names of its keys begin with; edges that share limits have the same.',
  }),
  timeout: duration({
    min: '1ms',
    max: '10s',
    fallback: '50ms',
    prose: 'An answer that takes longer counts as none. Requests that need it wait for it at most so long.',
  }),
});
