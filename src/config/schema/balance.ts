/** `upstreams.<name>.balance` and `.locality`: how a backend is picked. */

import { COOKIE_NAME_RULE } from './fields.ts';
import { optional, section } from './groups.ts';
import { keys } from './limit.ts';
import { COOKIE_PATH_RULE, FILE_RULE, NAME_RULE, SECRET_RULE } from './rules.ts';
import { choice, decimal, duration, integer, share, text } from './values.ts';

const sticky = optional('Clients that stay with their backend while it can be picked.', {
  by: choice(['cookie', 'connection'], {
    fallback: 'cookie',
    prose: '`cookie` sets a sealed cookie, `connection` binds a QUIC connection for as long as it lives and needs nothing of the client.',
  }),
  cookie: text(COOKIE_NAME_RULE, { prose: 'Name of the cookie.', fallback: 'lychgate' }),
  path: text(COOKIE_PATH_RULE, { prose: 'Path of the cookie.', fallback: '/' }),
  max_age: duration({
    min: '1s',
    max: '8760h',
    fallback: 'none',
    none: 0,
    prose: 'How long the cookie is kept; `none` is until the browser is closed.',
  }),
  key: text(SECRET_RULE, {
    prose:
      'Secret that seals cookies; better kept in a file. Without one it is made at the start, so that a restart or another edge does not know the cookies.',
    absent: '',
    example: 'change-me-to-at-least-32-random-characters',
    isSecret: true,
  }),
  key_file: text(FILE_RULE, { prose: 'File that holds the secret, in place of `key`.', absent: '', example: 'sticky.key' }),
});

export const balance = section('How a backend is picked.', {
  policy: choice(['random', 'round-robin', 'least-request', 'peak-ewma', 'ring-hash', 'maglev'], {
    fallback: 'peak-ewma',
    prose:
      '`peak-ewma` takes the better of two drawn at random by recent latency and attempts in flight; `least-request` the one with the fewest attempts in flight by weight; `round-robin` goes in turn, `random` draws, both by weight; `ring-hash` and `maglev` give a key always the same backend, the ring with a bound on its load, Maglev with the more even shares.',
  }),
  decay: duration({ min: '100ms', max: '10m', fallback: '10s', prose: 'Time constant with which `peak-ewma` forgets old latencies.' }),
  keys: keys('What is hashed by `ring-hash` and `maglev`: the first that the request has; a random backend when it has none.', [
    'header:x-user',
    'client',
  ]),
  ring_points: integer({
    min: 1,
    max: 10_000,
    fallback: 100,
    prose: 'Points on the ring of a backend of mean weight. More make even shares and cost 8 bytes each.',
  }),
  table_size: integer({
    min: 3,
    max: 5_000_011,
    fallback: 65_537,
    prose: 'Size of the Maglev table, a prime, at least a hundred times the number of backends.',
  }),
  load_bound: decimal({
    min: 1,
    max: 100,
    fallback: 1.25,
    none: 0,
    prose:
      'A backend on the ring takes at most this multiple of its fair share of what is in flight; what is over goes to the next on the ring.',
  }),
  sticky,
});

export const locality = section('Backends of several places, the nearer first.', {
  zone: text(NAME_RULE, {
    prose: 'Zone of this edge. Backends of the same zone are of tier 0, others of tier 1, unless they say otherwise.',
    absent: '',
    example: 'eu-west',
  }),
  healthy_share: share({
    fallback: 0.7,
    prose: 'Share of a tier that must be healthy for it to carry everything; below, the next tier takes what is missing.',
  }),
});
