/** Further attempts of a route: `retries`, `hedge`. */

import { GRPC_STATUS_RULE, METHOD_RULE, STATUSES_RULE } from './fields.ts';
import { mapping, optional, orShort, words } from './groups.ts';
import { writtenOnce } from './once.ts';
import { choice, duration, integer, looseText, share, size, text } from './values.ts';

/** Statuses and gRPC statuses as lists. */
export const statuses = (prose: string, lists: { fallback?: readonly (string | number)[]; example?: readonly (string | number)[] }) =>
  words(prose, looseText(STATUSES_RULE, { prose: 'A status, a range or a class.', example: 503, write: writeStatus }), lists);

export const grpcStatuses = (prose: string, lists: { fallback?: readonly string[]; example?: readonly string[] }) =>
  words(prose, looseText(GRPC_STATUS_RULE, { prose: 'A failing gRPC status.', example: 'unavailable' }), lists);

function writeStatus(value: unknown): string | number {
  const written = String(value);
  return written.includes('-') ? written : Number(written);
}

/** Attempts beside the first, at most; more is a storm. */
const MAX_ATTEMPTS = 5;

const written = orShort(
  mapping(
    'Further attempts, each at another backend where there is one. What a backend may have acted on is repeated only if its method is idempotent and the body is still here. A number alone is `attempts`.',
    {
      attempts: integer({ min: 0, max: MAX_ATTEMPTS, fallback: 1, prose: 'Attempts beside the first.' }),
      failures: words(
        'Failures after which another attempt is made: no connection, a stream refused unread, a reset or a closed connection before the response, no response in time.',
        choice(['connect', 'refused', 'reset', 'timeout'], { prose: 'A kind of failure.', example: 'connect' }),
        { fallback: ['connect', 'refused', 'reset'] },
      ),
      statuses: statuses('Statuses of responses that are not passed on while there is another attempt.', { example: ['502-504'] }),
      grpc_statuses: grpcStatuses('gRPC statuses of responses without messages, in the same way.', { example: ['unavailable'] }),
      methods: words(
        'Methods repeated though they are not idempotent. Only where the backend can tell a repetition.',
        text(METHOD_RULE, { prose: 'A method.', example: 'POST' }),
        { example: ['POST'] },
      ),
      backoff: duration({
        min: '1ms',
        max: '10s',
        fallback: '25ms',
        none: 0,
        prose:
          'Before the first repetition a random time up to this passes, before each further one up to twice as much. `none` is at once.',
      }),
      max_backoff: duration({ min: '1ms', max: '1m', fallback: '250ms', prose: 'No pause is longer.' }),
      retry_after: duration({
        min: '1s',
        max: '1m',
        fallback: 'none',
        none: 0,
        prose: 'A Retry-After of the backend is waited for when it is not longer than this.',
      }),
      buffer: size({
        min: '0',
        max: '1MiB',
        fallback: '16KiB',
        prose:
          'Bytes of a request body kept for a repetition, an exchange; they are copied once more. A longer body is not repeated once more than this of it was sent.',
      }),
    },
  ),
  {
    expected: `a number of attempts from 0 to ${MAX_ATTEMPTS}`,
    json: { type: 'integer', minimum: 0, maximum: MAX_ATTEMPTS },
    expand: (given) => ({ attempts: given }),
  },
);

export const retries = writtenOnce(written.prefault({} as never));

export const hedge = optional(
  'A second attempt beside a slow first one, for requests of idempotent methods without a body. The first response wins, the other attempt is cancelled.',
  {
    delay: duration({ min: '1ms', max: '1m', fallback: 'none', none: 0, prose: 'After this time; `none` takes the percentile.' }),
    percentile: share({ fallback: 0.95, prose: "After so large a share of the route's recent responses would have come." }),
    min_delay: duration({ min: '1ms', max: '1m', fallback: '10ms', prose: 'Never earlier, and at this time while too little is known.' }),
    max_delay: duration({ min: '1ms', max: '1m', fallback: '1s', prose: 'Never later.' }),
  },
);
