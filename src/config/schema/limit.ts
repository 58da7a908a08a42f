/**
 * Limits, wherever they stand: how many at once (`bulkhead`), how many in a time (`rate`), and who
 * at all (`access`).
 */

import { mapping, section, someOf, words } from './groups.ts';
import { KEY_RULE } from './key.ts';
import { certificateConditions } from './match.ts';
import { NETWORK_RULE } from './network.ts';
import { NAME_RULE } from './rules.ts';
import { choice, duration, flag, integer, looseText, text } from './values.ts';

/** Keys by which requests are told apart. */
export const keys = (prose: string, example: readonly string[]) =>
  words(prose, text(KEY_RULE, { prose: 'What of a request tells it from others.', example: 'client' }), { example });

/** Keys of exchanges in flight and waiting; a route and an upstream have the same. */
export const bulkheadKeys = {
  in_flight: integer({
    min: 1,
    max: 1_000_000,
    fallback: 'none',
    none: 0,
    prose: 'Exchanges in flight at once, in all shards together. More wait, or get 503.',
  }),
  queue: integer({
    min: 1,
    max: 100_000,
    fallback: 'none',
    none: 0,
    prose: 'Exchanges that may wait for a place, by priority and then in order. Their bodies are not read meanwhile.',
  }),
  queue_timeout: duration({
    min: '1ms',
    max: '1m',
    fallback: '1s',
    prose: 'Who waits longer gets 503. Longer than clients are patient only fills the queue with requests nobody wants any more.',
  }),
};

const rate = mapping('A token bucket: so many requests in a time, some of them at once. Who comes too often gets 429 with Retry-After.', {
  name: text(NAME_RULE, {
    prose: 'Name in metrics, in RateLimit fields and in the store, unique; made from where it stands where absent.',
    absent: '',
    example: 'per-client',
  }),
  by: keys('What the limit counts by, all together; one bucket for all where it is left out.', ['client/32,64']),
  requests: integer({ min: 1, max: 1_000_000_000, prose: 'Requests in the time.', example: 100 }),
  per: duration({ min: '100ms', max: '24h', fallback: '1s', prose: 'The time.' }),
  burst: integer({
    min: 1,
    max: 1_000_000_000,
    fallback: 'none',
    none: 0,
    prose: 'Requests at once after a pause; `none` is as many as `requests`.',
  }),
  max_keys: integer({
    min: 1,
    max: 10_000_000,
    fallback: 65_536,
    prose: 'Keys held at most, 16 bytes each, for every limit by itself; the one unused longest is forgotten first.',
  }),
  shared: flag({ fallback: false, prose: 'Count together with the other edges, in the store.' }),
  on_store_failure: choice(['local', 'pass', 'refuse'], {
    fallback: 'local',
    prose: 'While the store does not answer: count alone, let everything pass, or refuse everything. Only with `shared`.',
  }),
});

/** Rate limits of a route or a tenant. */
export const rates = someOf('Rate limits; a request must pass all of them.', rate);

/** `access` of a route. */
export const access = section('Who may come. Who may not gets 403. The client is found behind `trusted_networks` of the listener.', {
  allow: words(
    'These blocks only; everyone where it is left out.',
    looseText(NETWORK_RULE, { prose: 'An address or a block.', example: '192.0.2.0/24' }),
    { example: ['192.0.2.0/24'], insteadOfNone: 'to admit nobody, deny: [0.0.0.0/0, "::/0"]' },
  ),
  deny: words(
    'Not these blocks, even where `allow` names them.',
    looseText(NETWORK_RULE, { prose: 'An address or a block.', example: '192.0.2.66' }),
    { example: ['192.0.2.66'] },
  ),
  client_certificates: someOf(
    'Clients whose certificate fits one of these only, beside `allow`; everyone where it is left out. What a certificate says of names counts where it was verified.',
    certificateConditions('All of these must fit, as in `match.client_certificate`.'),
  ),
  deny_client_certificates: someOf(
    'Not clients whose certificate fits one of these, even where `client_certificates` names them.',
    certificateConditions('All of these must fit, as in `match.client_certificate`.'),
  ),
});
