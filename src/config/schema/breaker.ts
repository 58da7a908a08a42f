/** `upstreams.<name>.breaker` and `.outliers`: backends that fail are left alone for a while. */

import { section, words } from './groups.ts';
import { grpcStatuses, statuses } from './retry.ts';
import { choice, decimal, duration, flag, integer, integerOrAuto, share } from './values.ts';

export const breaker = section(
  'A backend that fails is ejected, and asked again after a while; each backend has its own breaker, for all shards.',
  {
    failures: words(
      'Failures that count: no connection, a reset or a closed connection before the response, no response in time.',
      choice(['connect', 'reset', 'timeout'], { prose: 'A kind of failure.', example: 'connect' }),
      { fallback: ['connect', 'reset', 'timeout'] },
    ),
    statuses: statuses(
      'Statuses that count. 502 to 504 say that what is behind the backend is gone; a 500 is as a rule one bad request, and would let a client eject backends at will.',
      { fallback: ['502-504'] },
    ),
    grpc_statuses: grpcStatuses('gRPC statuses that count.', { fallback: ['unavailable'] }),
    consecutive: integerOrAuto({
      min: 1,
      max: 10_000,
      fallback: 'auto',
      none: 0,
      prose:
        'So many failures in a row eject; `none` for never. `auto` is 5, and `none` where the upstream has one backend only: ejecting it would turn five failures, which one client may have caused, into an outage for all.',
    }),
    rate: share({ fallback: 'none', none: 0, prose: 'So large a share of failures in the window ejects; `none` for never.' }),
    min_requests: integer({
      min: 1,
      max: 1_000_000,
      fallback: 20,
      prose: 'Requests there must be in the window before `rate` is looked at.',
    }),
    count: integer({
      min: 1,
      max: 1_000_000,
      fallback: 'none',
      none: 0,
      prose: 'So many failures in the window eject, whatever their share; `none` for never.',
    }),
    window: duration({ min: '1s', max: '10m', fallback: '10s', prose: 'The window of `rate` and `count`, which slides.' }),
    eject: duration({
      min: '100ms',
      max: '1h',
      fallback: '5s',
      prose: 'How long a backend is left alone the first time; each time in a row it is twice as long.',
    }),
    max_eject: duration({ min: '100ms', max: '24h', fallback: '5m', prose: 'No ejection is longer.' }),
    probes: integer({ min: 1, max: 100, fallback: 1, prose: 'Requests at once that try a backend after its ejection.' }),
    successes: integer({ min: 1, max: 100, fallback: 2, prose: 'So many of them must succeed before it is back.' }),
  },
);

export const outliers = section('Backends that fail more than the others of their upstream are ejected, for the times of the breaker.', {
  enabled: flag({ fallback: false, prose: 'Compare them at all.' }),
  interval: duration({ min: '1s', max: '10m', fallback: '10s', prose: 'How often they are compared.' }),
  min_backends: integer({
    min: 2,
    max: 1000,
    fallback: 5,
    prose: 'Backends with enough requests there must be; of few nothing can be said.',
  }),
  min_requests: integer({ min: 1, max: 1_000_000, fallback: 100, prose: 'Requests a backend must have had in the interval.' }),
  deviations: decimal({
    min: 0.1,
    max: 10,
    fallback: 1.9,
    prose: 'Ejected is who stays so many standard deviations below the mean success rate.',
  }),
});
