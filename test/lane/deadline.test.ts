import fc from 'fast-check';
import t from 'tap';
import { reasonNumber } from '../../src/base/errors.ts';
import { grpcTimeout, NO_DEADLINE } from '../../src/lane/head/deadline.ts';
import { standLane } from '../support/lanes.ts';
import { type RouteWish, sampleSnapshot } from '../support/snapshots.ts';

function timeoutOf(route: RouteWish, fields: readonly (readonly [string, string])[]): number {
  const [decision] = standLane(sampleSnapshot({ routes: [route] })).ask({ fields });
  if (decision?.kind !== 'forward') throw new Error(`not forwarded: ${JSON.stringify(decision)}`);
  return decision.exchangeTimeoutMs;
}

t.test('grpc-timeout is digits and a unit, rounded up to milliseconds', async (t) => {
  const cases = { '1H': 3_600_000, '2M': 120_000, '3S': 3_000, '250m': 250, '1500u': 2, '1n': 1, '0m': 0 };
  for (const [text, ms] of Object.entries(cases)) t.equal(grpcTimeout(text), ms, text);
  for (const text of ['', 'S', '10', '10s', '-1S', '1.5S', '123456789S', ' 1S', undefined])
    t.equal(grpcTimeout(text), NO_DEADLINE, String(text));
});

t.test('whatever a client sends is a time that fits a record, or none', async () => {
  fc.assert(
    fc.property(fc.string(), fc.constantFrom('', 'H', 'M', 'S', 'm', 'u', 'n'), (text, unit) => {
      const ms = grpcTimeout(text + unit);
      return ms === NO_DEADLINE || (Number.isInteger(ms) && ms >= 0 && ms < 2 ** 31);
    }),
  );
});

t.test('the deadline of the client shortens the time of the exchange and never lengthens it', async (t) => {
  const route: RouteWish = { exchangeTimeoutMs: 5_000, isGrpcTimeoutObeyed: true, deadlineHeader: 'x-deadline-ms' };
  t.equal(timeoutOf(route, []), 5_000);
  t.equal(timeoutOf(route, [['grpc-timeout', '2S']]), 2_000);
  t.equal(timeoutOf(route, [['grpc-timeout', '1H']]), 5_000);
  t.equal(timeoutOf(route, [['x-deadline-ms', '700']]), 700);
  t.equal(
    timeoutOf(route, [
      ['x-deadline-ms', '700'],
      ['grpc-timeout', '300m'],
    ]),
    300,
  );
  t.equal(timeoutOf(route, [['x-deadline-ms', 'soon']]), 5_000, 'what is no number is passed over');
  t.equal(timeoutOf({ ...route, exchangeTimeoutMs: 0 }, [['grpc-timeout', '2S']]), 2_000, 'also where the route has no limit');
});

t.test('a route that does not obey it takes no notice', async (t) => {
  t.equal(timeoutOf({ exchangeTimeoutMs: 5_000, isGrpcTimeoutObeyed: false }, [['grpc-timeout', '1m']]), 5_000);
});

t.test('a request without any time left is answered at once', async (t) => {
  const stand = standLane(sampleSnapshot({ routes: [{ isGrpcTimeoutObeyed: true }] }));
  t.match(stand.ask({ fields: [['grpc-timeout', '0m']] }), [{ kind: 'respond', status: 504, reason: reasonNumber('exchange_timeout') }]);
});
