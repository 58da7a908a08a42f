import t from 'tap';
import { reasonNumber } from '../../src/base/errors.ts';
import { viewPlaces } from '../../src/lane/admit/view.ts';
import { Play } from '../support/play.ts';
import { type SnapshotWishes, sampleSnapshot, sampleTenant } from '../support/snapshots.ts';

const RATE = { keys: [], requests: 50, periodMs: 1_000, burst: 50, maxKeys: 64, isShared: false, onStoreFailure: 'local' } as const;

const ROUTES: SnapshotWishes['routes'] = [{ match: { tenant: 0 } }, { match: { tenant: 1 } }, {}];

const LOUD = { authority: 'loud.test' };
const QUIET = { authority: 'quiet.test' };

const playOf = (loud: object, quiet: object = {}) =>
  new Play(
    sampleSnapshot({ tenants: [sampleTenant({ name: 'loud', ...loud }), sampleTenant({ name: 'quiet', ...quiet })], routes: ROUTES }),
  );

t.test('a tenant has so many in flight and no more, and another does not feel it', async (t) => {
  const play = playOf({ maxInFlight: 3 }, { maxInFlight: 3 });
  const all = play.askAll(5, LOUD);
  t.strictSame(
    all.map(({ state }) => state),
    ['forwarded', 'forwarded', 'forwarded', 'answered', 'answered'],
  );
  t.match(all[3], { status: 503, reason: reasonNumber('tenant_full'), fields: { 'retry-after': '1' } });
  t.equal(play.ask(QUIET).state, 'forwarded');
  t.match(viewPlaces(play.snapshot, play.shared.places), [{ kind: 'tenant', name: 'loud', inFlight: 3, refused: 2 }, { inFlight: 1 }]);
  play.finish(all[0]!);
  t.equal(play.ask(LOUD).state, 'forwarded');
});

t.test('the rate of a tenant is one over all its routes, and not that of a route', async (t) => {
  const limit = { ...RATE, name: 'tenant', requests: 2, burst: 2 };
  const routes: SnapshotWishes['routes'] = [{ match: { tenant: 0, path: '/a' } }, { match: { tenant: 0, path: '/b' } }, {}];
  const play = new Play(sampleSnapshot({ tenants: [sampleTenant({ name: 'loud', rateLimits: [limit] })], routes }));
  t.equal(play.ask({ ...LOUD, path: '/a' }).state, 'forwarded');
  t.equal(play.ask({ ...LOUD, path: '/b' }).state, 'forwarded');
  t.match(play.ask({ ...LOUD, path: '/a' }), { status: 429, fields: { ratelimit: '"tenant";r=0;t=1' } });
  t.equal(play.ask({ authority: 'other.test', path: '/a' }).state, 'forwarded');
});

t.test('a flood of one tenant leaves every request of another as it was', async (t) => {
  const play = playOf(
    { rateLimits: [{ ...RATE, name: 'loud' }], maxInFlight: 20 },
    { rateLimits: [{ ...RATE, name: 'quiet' }], maxInFlight: 20 },
  );
  let floodServed = 0;
  for (let second = 0; second < 5; second++) {
    for (let i = 0; i < 20; i++) {
      const flood = play.askAll(100, LOUD).filter(({ state }) => state === 'forwarded');
      const own = play.ask(QUIET);
      t.equal(own.state, 'forwarded');
      t.equal(own.offers, 1, 'at once');
      floodServed += flood.length;
      for (const exchange of [...flood, own]) play.end(exchange, { slot: exchange.slot });
      play.advance(50);
    }
  }
  t.ok(floodServed <= 50 + 5 * 50, `${floodServed} of the flood were served`);
});
