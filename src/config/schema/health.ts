/** `upstreams.<name>.health`: backends are asked how they are, beside the traffic. */

import { optional } from './groups.ts';
import { statuses } from './retry.ts';
import { AUTHORITY_RULE, MATCH_PATH_RULE } from './rules.ts';
import { choice, duration, integer, share, type TextRule, text } from './values.ts';

const HOST_RULE: TextRule = {
  expected: 'a host name with or without a port',
  range: 'host[:port]',
  normalise: (given) => (given === 'keep' || given === 'backend' ? undefined : AUTHORITY_RULE.normalise(given)),
};

const BODY_RULE: TextRule = {
  expected: 'text of 1 to 1,024 characters',
  range: 'text',
  normalise: (given) => (given.length >= 1 && given.length <= 1024 ? given : undefined),
};

export const health = optional(
  'Active checks, made by the main thread on connections of their own. Without them a backend is known only by how it serves.',
  {
    protocol: choice(['auto', 'h2', 'http/1.1', 'h3'], {
      fallback: 'auto',
      prose: '`auto` is HTTP/1.1 for `http://` backends and HTTP/2 for others. `h3` needs `https://` backends.',
    }),
    method: choice(['GET', 'HEAD'], { fallback: 'GET', prose: 'Method.' }),
    path: text(MATCH_PATH_RULE, { fallback: '/', prose: 'Path.' }),
    host: text(HOST_RULE, { prose: "Authority to ask for, in place of the backend's own.", absent: '', example: 'web.example.org' }),
    port: integer({ min: 1, max: 65_535, fallback: 'none', none: 0, prose: "Port to ask; `none` is the backend's own." }),
    interval: duration({ min: '100ms', max: '1h', fallback: '5s', prose: 'Time between two checks of a backend that is well.' }),
    failing_interval: duration({
      min: '100ms',
      max: '1h',
      fallback: '1s',
      prose: 'Time between two checks while one fails or the state is about to change.',
    }),
    jitter: share({
      fallback: 0.1,
      prose: 'Share of the interval by which each is moved at random, so that edges do not ask all at once.',
    }),
    timeout: duration({ min: '10ms', max: '5m', fallback: '2s', prose: 'A check that takes longer has failed.' }),
    healthy_after: integer({ min: 1, max: 100, fallback: 2, prose: 'Good checks in a row after which a backend is used again.' }),
    unhealthy_after: integer({ min: 1, max: 100, fallback: 3, prose: 'Failed checks in a row after which a backend is not used.' }),
    statuses: statuses('Statuses of a good check.', { fallback: ['200-299'] }),
    body: text(BODY_RULE, {
      prose: 'Text that must stand in the first 64 KiB of the body.',
      absent: '',
      example: 'ok',
    }),
  },
);
