/** `claims`: what a client may say of itself. */

import { FIELD_NAME_RULE } from './fields.ts';
import { section, words } from './groups.ts';
import { CLIENT_FIELD_RULE } from './trusted.ts';
import { choice, type TextRule, text } from './values.ts';

/**
 * Fields in which proxies tell whom they speak for, and that frameworks believe; Forwarded and
 * X-Forwarded-For, -Proto, -Host and -Port are written by routes.
 */
const TRUST_FIELDS = [
  'x-real-ip',
  'true-client-ip',
  'x-original-url',
  'x-rewrite-url',
  'x-forwarded-prefix',
  'x-forwarded-server',
  'x-forwarded-ssl',
  'x-forwarded-client-cert',
] as const;

const UNDERSCORE_NAME_RULE: TextRule = {
  expected: 'the name of a header field with an underscore, such as x_user',
  range: 'field name',
  normalise: (given) => (given.includes('_') ? FIELD_NAME_RULE.normalise(given) : undefined),
};

export const claims = section('What clients may not say of themselves; from `trusted_networks` of the listener it is believed.', {
  client_field: text(CLIENT_FIELD_RULE, {
    fallback: 'x-forwarded-for',
    prose:
      'The field in which the proxies of `trusted_networks` tell the client, where their network names no `field` of its own. No other one is looked at, and those that another network names, Forwarded and X-Forwarded-For (with it -Proto, -Host and -Port) are removed from their requests too: they only pass on what strangers put there.',
  }),
  fields: words(
    'Fields that only trusted proxies may send; from anyone else they are removed, heads and trailers, as Forwarded and X-Forwarded-For, -Proto, -Host and -Port are by every route.',
    text(FIELD_NAME_RULE, { prose: 'Name of a field.', example: 'x-real-ip' }),
    { fallback: TRUST_FIELDS },
  ),
  more_fields: words(
    'Further such fields, beside `fields`.',
    text(FIELD_NAME_RULE, { prose: 'Name of a field.', example: 'x-client-dn' }),
    {
      example: ['x-client-dn'],
    },
  ),
  underscores: choice(['drop', 'refuse', 'pass'], {
    fallback: 'drop',
    prose:
      'Fields whose name has an underscore, which CGI and WSGI read as a hyphen, so that `x_real_ip` is X-Real-IP: they are dropped, the request gets 400, or they pass. From trusted proxies too, and in trailers.',
  }),
  underscore_names: words(
    'Names with an underscore that pass.',
    text(UNDERSCORE_NAME_RULE, { prose: 'Name of a field.', example: 'x_user' }),
    { example: ['x_user'] },
  ),
});
