/** `routes[].match`: which requests a route takes. */

import type { z } from 'zod';
import { CERTIFICATE_FACT_RULE } from './certificate-fact.ts';
import { COMPARED_RULE, COOKIE_NAME_RULE, FIELD_NAME_RULE, METHOD_RULE, QUERY_NAME_RULE } from './fields.ts';
import { mapping, named, orShort, section, words } from './groups.ts';
import { NETWORK_RULE } from './network.ts';
import { PATTERN_RULE } from './pattern.ts';
import { MATCH_HOST_RULE, MATCH_PATH_RULE, NAME_RULE } from './rules.ts';
import { flag, flagOrNothing, looseText, text, textOrNothing } from './values.ts';

/** Exactly one of the keys; text alone is `exact`. */
export const condition = orShort(
  mapping('One way to look at a value; text alone is `exact`.', {
    exact: textOrNothing(COMPARED_RULE, { prose: 'The value is this text.', example: '1' }),
    prefix: textOrNothing(COMPARED_RULE, { prose: 'The value begins with this text.', example: 'beta-' }),
    suffix: textOrNothing(COMPARED_RULE, { prose: 'The value ends with this text.', example: '.example.org' }),
    contains: textOrNothing(COMPARED_RULE, { prose: 'The text stands somewhere in the value.', example: 'Mobile' }),
    regex: textOrNothing(PATTERN_RULE, { prose: 'The pattern takes the whole value.', example: 'v[0-9]+' }),
    present: flagOrNothing({ prose: '`true`: it is there, whatever its value; `false`: it is not.', example: true }),
  }),
  {
    expected: 'a text',
    json: { type: ['string', 'number', 'boolean'] },
    expand: (given) => ({ exact: given }),
  },
);

/** Conditions by fact of a certificate. */
export function certificateConditions(prose: string) {
  return named(prose, CERTIFICATE_FACT_RULE, condition, 'uri');
}

export const match = section(
  'Which requests; every key that is given must fit. Of the routes that fit, the exact host goes before the longest wildcard, the exact path before the pattern and the longest prefix, more conditions before fewer.',
  {
    host: text(MATCH_HOST_RULE, {
      prose: 'Host without port; `*.example.org` stands for one or more labels, `*` for any host.',
      fallback: '*',
    }),
    path: text(MATCH_PATH_RULE, {
      prose: 'Path; as a prefix it ends on a segment border: `/a` takes `/a` and `/a/b`, not `/ab`.',
      fallback: '/',
    }),
    exact: flag({ fallback: false, prose: 'Take this path only, not what lies below it.' }),
    path_regex: text(PATTERN_RULE, {
      prose: 'Pattern that takes the whole path, in place of `path`.',
      absent: '',
      example: '/v[0-9]+/orders/.*',
    }),
    methods: words('Any of these methods; all where it is left out.', text(METHOD_RULE, { prose: 'A method.', example: 'GET' }), {
      example: ['GET', 'HEAD'],
      insteadOfNone: 'all methods, where the key is left out',
    }),
    headers: named('Header fields, all of them. Where a field comes several times, one must fit.', FIELD_NAME_RULE, condition, 'x-canary'),
    query: named('Query parameters, in the same way, decoded.', QUERY_NAME_RULE, condition, 'version'),
    cookies: named('Cookies, in the same way.', COOKIE_NAME_RULE, condition, 'beta'),
    client_certificate: certificateConditions(
      'What the client\'s certificate says (`listeners[].tls.client_certificates`), all of them: `verdict` (`verified`, `unverified`), `fingerprint`, and of one that was verified `serial`, `subject`, `issuer`, `dns`, `uri`, `email`, `ip`. `dns: "*.example.org"` stands for one or more labels.',
    ),
    networks: words(
      'Any of these blocks holds the client, which is found behind `trusted_networks` of the listener.',
      looseText(NETWORK_RULE, { prose: 'An address or a block.', example: '10.0.0.0/8' }),
      { example: ['10.0.0.0/8', '2001:db8::/32'], insteadOfNone: 'any client, where the key is left out' },
    ),
    tenant: text(NAME_RULE, {
      prose: 'Requests of this tenant only; without it, requests of no tenant, and of tenants none of whose routes takes them.',
      absent: '',
      example: 'acme',
    }),
  },
);

export type Match = z.output<typeof match>;
export type Condition = z.output<typeof condition>;
