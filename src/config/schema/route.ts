/**
 * `routes`: which requests go where, what is changed on the way, and how long and how often it may
 * be tried.
 */

import type { z } from 'zod';
import { fallback, redirect, respond } from './answer.ts';
import { requestHeaders, responseHeaders, rewrite } from './edit.ts';
import { FIELD_NAME_RULE, VIA_RULE } from './fields.ts';
import { mapping, named, section, someOf } from './groups.ts';
import { access, bulkheadKeys, keys, rates } from './limit.ts';
import { match } from './match.ts';
import { hedge, retries } from './retry.ts';
import { AUTHORITY_RULE, LABEL_NAME_RULE, LABEL_VALUE_RULE, NAME_RULE } from './rules.ts';
import { choice, duration, flag, integer, looseText, size, text } from './values.ts';

const subset = named(
  'Only backends that have all these labels.',
  LABEL_NAME_RULE,
  looseText(LABEL_VALUE_RULE, { prose: 'Value of the label.', example: 'canary' }),
  'version',
);

const split = someOf(
  'Several upstreams in place of one, by weight.',
  mapping('One of the upstreams.', {
    upstream: text(NAME_RULE, { prose: 'Name of the upstream.', example: 'web' }),
    weight: integer({
      min: 0,
      max: 10_000,
      fallback: 100,
      prose: 'Share of the requests, relative to the others; can be changed at run time.',
    }),
    subset,
  }),
);

const timeouts = section('How long each phase may last.', {
  connect: duration({
    min: '1ms',
    max: '5m',
    fallback: '3s',
    prose: 'While a session to the backend is on its way: TCP and TLS.',
  }),
  place: duration({
    min: '1ms',
    max: '5m',
    fallback: '3s',
    prose: "While the backend's pool is full, for a place in it. Then 503 `sessions_exhausted`, which is no failure of the backend.",
  }),
  head: duration({ min: '1ms', max: '1h', fallback: '30s', prose: 'From the request sent to the response head.' }),
  idle: duration({ min: '100ms', max: '24h', fallback: '60s', prose: 'Without a byte in either direction while bodies last.' }),
  exchange: duration({ min: '1ms', max: '24h', fallback: 'none', none: 0, prose: 'The whole exchange, attempts and bodies included.' }),
  attempt: duration({
    min: '1ms',
    max: '1h',
    fallback: 'none',
    none: 0,
    prose: 'One attempt, from its begin to the response head, connecting and sending included.',
  }),
  deadline_header: text(FIELD_NAME_RULE, {
    prose: 'Field in which the client says how many milliseconds it waits; it shortens `exchange`, and the backend is told what is left.',
    absent: '',
    example: 'x-request-timeout-ms',
  }),
  grpc: flag({ fallback: false, prose: "The client's `grpc-timeout` shortens `exchange`, and the backend is told what is left." }),
});

const limits = section('How many exchanges at once, and how many in a time.', { ...bulkheadKeys, rate: rates });

const requestId = section('The id of a request, in `x-request-id` towards backend and client, and in logs.', {
  trust: flag({ fallback: false, prose: 'Keep the id the client sent, where there is one.' }),
});

const forwarded = section('What the backend is told about the client.', {
  style: choice(['x-forwarded', 'forwarded', 'both', 'off'], {
    fallback: 'x-forwarded',
    prose: '`x-forwarded` writes X-Forwarded-For, -Proto and -Host; `forwarded` writes Forwarded (RFC 7239).',
  }),
  trusted: choice(['append', 'keep', 'overwrite'], {
    fallback: 'append',
    prose: "What becomes of these fields when they come from `trusted_networks` of the listener. Anyone else's are always overwritten.",
  }),
});

export const route = mapping('Requests that match get exactly one of `upstream`, `split`, `redirect` and `respond`.', {
  name: text(NAME_RULE, {
    prose: 'Name in logs and metrics, unique; made from the match where absent.',
    absent: '',
    example: 'everything',
  }),
  match,
  upstream: text(NAME_RULE, { prose: 'Name of the upstream.', absent: '', example: 'web', isUsual: true }),
  subset,
  split,
  split_by: keys(
    'What keeps a client with its part of the split while the weights stay; a new draw for each request where it is left out.',
    ['cookie:session'],
  ),
  redirect,
  respond,
  fallback,
  timeouts,
  max_body: size({ min: '0', max: '1000GiB', fallback: 'none', none: -1, prose: 'Largest request body. A larger one gets 413.' }),
  retries,
  hedge,
  limits,
  priority: choice(['low', 'normal', 'high', 'critical'], {
    fallback: 'normal',
    prose: 'Who is served first while exchanges wait, and who is turned away last while the upstream is overloaded.',
  }),
  access,
  rewrite,
  request_headers: requestHeaders,
  response_headers: responseHeaders,
  request_id: requestId,
  forward: choice(['as_received', 'canonical'], {
    fallback: 'as_received',
    prose:
      "The path that backends get: the client's own spelling with dot segments resolved, as object stores and signed URLs need it, or the canonical form by which routes and limits are decided.",
  }),
  forwarded,
  host: text(AUTHORITY_RULE, {
    prose: "Authority the backend sees: `keep` is the client's, `backend` its own as configured, anything else is sent as it stands.",
    fallback: 'keep',
  }),
  via: text(VIA_RULE, {
    prose:
      'What the edge calls itself in `Via` (RFC 9110 §7.6.3): `3` and this name are appended in requests, and in responses of `h2c://` and `http://` backends `2` or `1.1` and this name. ' +
      'No `Via` is written where the key is absent.',
    absent: '',
    example: 'edge',
  }),
});

export type Route = z.output<typeof route>;
