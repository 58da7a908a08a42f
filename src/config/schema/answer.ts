/** Answers a route gives by itself: `redirect`, `respond`, `fallback`. */

import type { z } from 'zod';
import { EDITED_NAME_RULE, FIELD_VALUE_RULE } from './fields.ts';
import { named, optional } from './groups.ts';
import { PATTERN_RULE, REPLACEMENT_RULE } from './pattern.ts';
import { grpcStatuses, statuses } from './retry.ts';
import { MATCH_PATH_RULE, NAME_RULE, SERVER_NAME_RULE } from './rules.ts';
import { choice, flag, integer, looseText, oneOf, type TextRule, text } from './values.ts';

/** Bytes of an answer's body. */
const MAX_BODY_BYTES = 16_384;

const BODY_RULE: TextRule = {
  expected: 'text of up to 16 KiB',
  range: 'text',
  normalise: (given) => (Buffer.byteLength(given) <= MAX_BODY_BYTES ? given : undefined),
};

/** How a path is changed, in a redirect and towards a backend. */
export const pathKeys = {
  strip_prefix: text(MATCH_PATH_RULE, {
    prose: 'Taken off the front of the path, on a segment border; the query stays.',
    absent: '',
    example: '/api',
  }),
  replace_prefix: text(MATCH_PATH_RULE, {
    prose: "Put in the place of `strip_prefix`, or where there is none, of the route's matched prefix.",
    absent: '',
    example: '/v2',
  }),
  regex: text(PATTERN_RULE, {
    prose: 'Pattern looked for in the path without query; where it is not found the path stays.',
    absent: '',
    example: '^/users/([0-9]+)$',
  }),
  replacement: text(REPLACEMENT_RULE, {
    prose:
      "What takes the place of what `regex` found, with `$1` to `$9` for its groups. It may have a query, behind which the client's goes; what groups put there is one value, its `&`, `=`, `+` and `;` are encoded.",
    absent: '',
    example: '/people/$1',
  }),
};

const respondKeys = {
  status: integer({ min: 200, max: 599, fallback: 200, prose: 'Status of the answer.' }),
  headers: named(
    'Fields of the answer. Where there is a body, `content-type` is `text/plain; charset=utf-8` unless it stands here.',
    EDITED_NAME_RULE,
    looseText(FIELD_VALUE_RULE, { prose: 'Value of the field.', example: 'no-store' }),
    'cache-control',
  ),
  body: text(BODY_RULE, { prose: 'Body of the answer, sent as UTF-8.', absent: '', example: 'Down for maintenance.' }),
};

export const respond = optional('Answer without asking a backend.', respondKeys);

export const redirect = optional("Send the client elsewhere. What is left out is the request's.", {
  status: oneOf([301, 302, 303, 307, 308], {
    fallback: 302,
    prose: '301 and 308 are for good: clients remember them. 307 and 308 keep method and body.',
  }),
  scheme: choice(['keep', 'https', 'http'], { fallback: 'keep', prose: 'Scheme to go to.' }),
  host: text(SERVER_NAME_RULE, { prose: 'Host to go to.', absent: '', example: 'www.example.org' }),
  port: integer({ min: 1, max: 65_535, fallback: 'none', none: 0, prose: 'Port to go to; `none` keeps it, unless the scheme changes.' }),
  path: text(MATCH_PATH_RULE, { prose: 'Path to go to, in place of one made from the request.', absent: '', example: '/new' }),
  ...pathKeys,
  keep_query: flag({ fallback: true, prose: 'Keep the query.' }),
});

export const fallback = optional(
  'What a request gets when no backend of the route can be had or every attempt failed: exactly one of `upstream` and `respond`. The response carries `x-lychgate-fallback: 1`.',
  {
    upstream: text(NAME_RULE, {
      prose:
        'Name of an upstream that is tried once, by requests that may be sent again: nothing was sent, or the method is idempotent or one of `retries.methods`; whatever `retries.attempts` is. It has what is left of `timeouts.exchange`.',
      absent: '',
      example: 'static',
    }),
    respond: optional('An answer of the edge.', respondKeys),
    statuses: statuses('Statuses of the last response in whose place the fallback answers; others are passed on.', {
      example: ['502-504'],
    }),
    grpc_statuses: grpcStatuses('gRPC statuses of responses without messages, in the same way.', { example: ['unavailable'] }),
  },
);

export type Respond = NonNullable<z.output<typeof respond>>;
export type Redirect = NonNullable<z.output<typeof redirect>>;
export type PathKeys = Record<keyof typeof pathKeys, string>;
