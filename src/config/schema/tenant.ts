/** `tenants`: parts of the edge's clients, with routes and limits of their own. */

import type { z } from 'zod';
import { CERTIFICATE_FACT_RULE } from './certificate-fact.ts';
import { FIELD_NAME_RULE, FIELD_VALUE_RULE } from './fields.ts';
import { mapping, named, section, words } from './groups.ts';
import { rates } from './limit.ts';
import { MATCH_PATH_RULE, NAME_RULE, TENANT_HOST_RULE } from './rules.ts';
import { integer, looseText, text } from './values.ts';

const tenant = mapping(
  'A tenant, told by exactly one of `hosts`, `header`, `path` and `client_certificate`. A request belongs to the first that fits.',
  {
    hosts: words(
      'Requests for these hosts.',
      text(TENANT_HOST_RULE, { prose: 'Host without port, or a wildcard of one or more labels.', example: '*.acme.example.org' }),
      { example: ['*.acme.example.org'] },
    ),
    header: text(FIELD_NAME_RULE, { prose: 'Requests with this header field.', absent: '', example: 'x-tenant' }),
    value: looseText(FIELD_VALUE_RULE, {
      prose: "Value of that field or of what `client_certificate` names; the tenant's name where it is left out.",
      absent: '',
      example: 'acme',
    }),
    path: text(MATCH_PATH_RULE, { prose: 'Requests with this prefix of the path, on a segment border.', absent: '', example: '/acme' }),
    client_certificate: text(CERTIFICATE_FACT_RULE, {
      prose: 'Requests of clients whose certificate says `value` of this; of names, where it was verified.',
      absent: '',
      example: 'uri',
    }),
    limits: section('Limits of the tenant, over all its routes.', {
      in_flight: integer({
        min: 1,
        max: 1_000_000,
        fallback: 'none',
        none: 0,
        prose: 'Exchanges in flight at once, in all shards together. More get 503.',
      }),
      rate: rates,
    }),
  },
);

export const tenants = named('Tenants by name, in the order in which they are asked for a match.', NAME_RULE, tenant, 'acme');

export type Tenant = z.output<typeof tenant>;
