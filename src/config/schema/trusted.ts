/**
 * `trusted_networks`: proxies of one's own in front of the edge, and the field in which they tell
 * whom they speak for.
 */

import { EDITED_NAME_RULE } from './fields.ts';
import { mapping, orShort, someOrOne } from './groups.ts';
import { NETWORK_RULE } from './network.ts';
import { looseText, type TextRule, text } from './values.ts';

/**
 * A field in which proxies tell the client. Backends that read an underscore as a hyphen could be
 * told another.
 */
export const CLIENT_FIELD_RULE: TextRule = {
  expected: 'forwarded, x-forwarded-for, or another field that holds an address or a list of them, such as x-real-ip',
  range: '`x-forwarded-for`, `forwarded`, field name',
  normalise: (given) => (/[_*]/.test(given) ? undefined : EDITED_NAME_RULE.normalise(given)),
  explain: (given) => (given.includes('_') ? 'has an underscore, which CGI and WSGI read as a hyphen' : EDITED_NAME_RULE.explain?.(given)),
};

const trusted = orShort(
  mapping('A block of them; an address or a block alone is `network`.', {
    network: looseText(NETWORK_RULE, {
      prose: 'An address or a block. Of blocks that hold a proxy the longest prefix says its field.',
      example: '10.0.0.0/8',
    }),
    field: text(CLIENT_FIELD_RULE, {
      prose:
        'The field in which they tell the client: Forwarded as RFC 7239 has it, any other as X-Forwarded-For. `claims.client_field` where it is left out.',
      absent: '',
      example: 'forwarded',
    }),
  }),
  {
    expected: NETWORK_RULE.expected,
    json: { type: 'string' },
    expand: (given) => ({ network: given }),
  },
);

export const trustedNetworks = someOrOne(
  'Proxies of your own in front of the edge: from these blocks the field that they write is believed, and the client is who it names.',
  trusted,
);
