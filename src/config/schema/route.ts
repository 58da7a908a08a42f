/** `routes`: which requests go to which upstream, and how long and how often that may be tried. */

import type { z } from 'zod';
import { MATCH_HOST_RULE, MATCH_PATH_RULE, NAME_RULE } from './rules.ts';
import { choice, duration, flag, integer, mapping, section, size, text } from './values.ts';

const match = section('Which requests: the exact host wins over the longest wildcard, the exact path over the longest prefix.', {
  host: text(MATCH_HOST_RULE, {
    prose: 'Host without port; `*.example.org` stands for one or more labels, `*` for any host.',
    fallback: '*',
  }),
  path: text(MATCH_PATH_RULE, {
    prose: 'Path; as a prefix it ends on a segment border: `/a` takes `/a` and `/a/b`, not `/ab`.',
    fallback: '/',
  }),
  exact: flag({ fallback: false, prose: 'Take this path only, not what lies below it.' }),
});

const timeouts = section('How long each phase may last.', {
  connect: duration({
    min: '1ms',
    max: '5m',
    fallback: '3s',
    prose: 'Until a stream to the backend is open, waiting for a session included.',
  }),
  head: duration({ min: '1ms', max: '1h', fallback: '30s', prose: 'From the request sent to the response head.' }),
  idle: duration({ min: '1ms', max: '24h', fallback: '60s', prose: 'Without a byte in either direction while bodies last.' }),
  exchange: duration({ min: '1ms', max: '24h', fallback: 'none', none: 0, prose: 'The whole exchange, attempts and bodies included.' }),
});

const requestId = section('The id of a request, in `x-request-id` towards backend and client, and in logs.', {
  trust: flag({ fallback: false, prose: 'Keep the id the client sent, where there is one.' }),
});

const forwarded = section('What the backend is told about the client.', {
  style: choice(['x-forwarded', 'forwarded', 'both', 'off'], {
    fallback: 'x-forwarded',
    prose: '`x-forwarded` writes X-Forwarded-For, -Proto and -Host; `forwarded` writes Forwarded (RFC 7239).',
  }),
  trust: flag({ fallback: false, prose: 'Append to what the client sent instead of dropping it. Only behind a proxy of your own.' }),
});

export const route = mapping('Requests that match go to the upstream.', {
  name: text(NAME_RULE, {
    prose: 'Name in logs and metrics, unique; made from the match where absent.',
    absent: '',
    example: 'everything',
  }),
  match,
  upstream: text(NAME_RULE, { prose: 'Name of the upstream.', example: 'web' }),
  timeouts,
  max_body: size({ min: '0', max: '1000GiB', fallback: 'none', none: -1, prose: 'Largest request body. A larger one gets 413.' }),
  retries: integer({
    min: 0,
    max: 3,
    fallback: 1,
    prose: 'Attempts beside the first, each on another backend, where nothing was sent yet or the request is idempotent and unanswered.',
  }),
  request_id: requestId,
  forwarded,
  host: choice(['keep', 'backend'], { fallback: 'keep', prose: "Authority the backend sees: the client's, or its own as configured." }),
});

export type Route = z.output<typeof route>;
