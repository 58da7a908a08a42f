/**
 * `upstreams`: named groups of backends, how one of them is picked, what happens when they fail,
 * and how sessions to them are kept.
 */

import type { z } from 'zod';
import { balance, locality } from './balance.ts';
import { breaker, outliers } from './breaker.ts';
import { hedgeBudget, limits, retryBudget } from './capacity.ts';
import { list, mapping, named, section, words } from './groups.ts';
import { health } from './health.ts';
import {
  BACKEND_URL_RULE,
  FILE_RULE,
  LABEL_NAME_RULE,
  LABEL_VALUE_RULE,
  NAME_RULE,
  PIN_RULE,
  SERVER_NAME_RULE,
  TLS_VERSION_RULE,
} from './rules.ts';
import { duration, flag, integer, integerOrAuto, looseText, share, size, text } from './values.ts';

const backend = mapping('One member of the upstream.', {
  url: text(BACKEND_URL_RULE, {
    prose: '`https://` is HTTP/2 over TLS with HTTP/1.1 as fallback (ALPN), `h2c://` HTTP/2 with prior knowledge, `http://` HTTP/1.1.',
    example: 'h2c://127.0.0.1:9000',
  }),
  weight: integer({
    min: 0,
    max: 10_000,
    fallback: 100,
    prose: 'Share of the traffic, relative to the other backends of its tier; 0 takes none. Can be changed at run time.',
  }),
  server_name: text(SERVER_NAME_RULE, {
    prose: 'TLS server name, sent and verified instead of the host of the URL. Only for `https://`.',
    absent: '',
    example: 'web.example.org',
  }),
  labels: named(
    'Labels by which `subset` of a route takes some of the backends.',
    LABEL_NAME_RULE,
    looseText(LABEL_VALUE_RULE, { prose: 'Value of the label.', example: 'stable' }),
    'version',
  ),
  zone: text(NAME_RULE, { prose: 'Zone the backend is in.', absent: '', example: 'eu-west' }),
  tier: integerOrAuto({
    min: 0,
    max: 15,
    fallback: 'auto',
    prose: 'Lower tiers are used first. `auto` is 0 for the zone of this edge and 1 for others, and 0 for all where the edge has no zone.',
  }),
});

const tls = section('TLS towards `https://` backends.', {
  verify: flag({
    fallback: true,
    prose: 'Verify the certificate and its name. Without it anyone on the way can read and change everything.',
  }),
  ca: text(FILE_RULE, { prose: "PEM file of the authorities to trust instead of the system's.", absent: '', example: 'certs/ca.pem' }),
  certificate: text(FILE_RULE, {
    prose: 'PEM file of the certificate that is shown to backends which ask for one: the leaf first, then its intermediates.',
    absent: '',
    example: 'certs/client.pem',
  }),
  key: text(FILE_RULE, { prose: 'PEM file of its private key.', absent: '', example: 'certs/client.key' }),
  key_passphrase_file: text(FILE_RULE, {
    prose: 'File whose first line is the pass phrase of that key, where it is encrypted.',
    absent: '',
    example: 'certs/client.pass',
  }),
  min_version: looseText(TLS_VERSION_RULE, { fallback: '1.2', prose: 'Lowest version of TLS that is spoken.' }),
  max_version: looseText(TLS_VERSION_RULE, { fallback: '1.3', prose: 'Highest version of TLS that is spoken.' }),
  pins: words(
    'Public keys (RFC 7469): one of them must be that of a certificate in the verified chain, so name the next one before it comes into use.',
    text(PIN_RULE, { prose: 'Base64 of the SHA-256 of a SubjectPublicKeyInfo.', example: 'd6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM=' }),
  ),
});

const pool = section('Sessions to each backend.', {
  max_sessions: integer({
    min: 1,
    max: 10_000,
    fallback: 64,
    prose:
      'Sessions to one `h2c://` or `https://` backend, a shard. A new one is opened only when the open ones are full; with all of them full, requests wait for a place.',
  }),
  max_connections: integer({
    min: 1,
    max: 100_000,
    fallback: 1024,
    prose: 'Connections to one `http://` backend, of all shards together; each carries one exchange at a time.',
  }),
  max_streams: integer({
    min: 1,
    max: 100_000,
    fallback: 128,
    prose: 'Exchanges at once on one HTTP/2 session, whatever the backend allows.',
  }),
  max_bound: integer({
    min: 1,
    max: 10_000,
    fallback: 4,
    prose:
      'Sessions of its own that a client may have at a backend, a shard, because NTLM or Negotiate were spoken of there. A further one ends with its exchange.',
  }),
  bound_idle: duration({
    min: '10ms',
    max: '1h',
    fallback: '1s',
    prose:
      'For how long such a session is left to its client while it is idle and others wait for a place; it has a challenge to answer there.',
  }),
  idle_timeout: duration({ min: '1s', max: '24h', fallback: '60s', prose: 'A session without exchanges is closed after this time.' }),
  max_age: duration({
    min: '1s',
    max: '720h',
    fallback: '1h',
    none: 0,
    prose: 'A session takes no new exchanges after this time, give or take some jitter, so that load spreads over new backends.',
  }),
  ping_interval: duration({
    min: '1s',
    max: '1h',
    fallback: '15s',
    none: 0,
    prose: 'An HTTP/2 session that is silent for so long is asked whether it lives.',
  }),
  ping_timeout: duration({
    min: '100ms',
    max: '5m',
    fallback: '5s',
    prose: 'A session that does not answer the question in time is closed.',
  }),
  stream_window: size({
    min: '16KiB',
    max: '64MiB',
    fallback: '2MiB',
    prose:
      'Bytes of a response body a backend may send ahead of the client, an exchange. An HTTP/2 backend sends no more than this in a round trip.',
  }),
  session_window: size({
    min: '64KiB',
    max: '1GiB',
    fallback: '8MiB',
    prose: 'Bytes of all response bodies of a session that may be on their way; what has arrived counts against its exchange alone.',
  }),
  max_head: size({
    min: '1KiB',
    max: '60KiB',
    fallback: '32KiB',
    prose: 'Size of a response head, counted as for requests. Larger heads are a failure of the backend.',
  }),
  max_fields: integer({ min: 1, max: 1000, fallback: 200, prose: 'Fields of a response head.' }),
});

const resolve = section('Name resolution.', {
  interval: duration({
    min: '1s',
    max: '24h',
    fallback: '10s',
    prose: 'How often names of backends are resolved again. Addresses are not resolved.',
  }),
});

export const upstream = mapping('A named group of backends that answer alike.', {
  backends: list('Members of the group.', backend),
  balance,
  breaker,
  outliers,
  max_ejected: share({
    fallback: 0.5,
    prose: 'Share of the backends that breakers and outliers may have ejected at once. One always may.',
  }),
  panic_below: share({
    fallback: 0.5,
    none: 0,
    prose:
      'When less than this share of the backends may be picked, all are: what is left would only be overrun, and such a loss is more often a fault of the checks than of the backends.',
  }),
  slow_start: duration({
    min: '1s',
    max: '1h',
    fallback: 'none',
    none: 0,
    prose: 'Time over which a backend that comes back gets its full share.',
  }),
  health,
  limits,
  retry_budget: retryBudget,
  hedge_budget: hedgeBudget,
  locality,
  tls,
  pool,
  resolve,
});

export type Upstream = z.output<typeof upstream>;
export type Backend = z.output<typeof backend>;
