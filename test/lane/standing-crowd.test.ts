import fc from 'fast-check';
import t from 'tap';
import { setHealth } from '../../src/lane/standing/health.ts';
import { findOutliers } from '../../src/lane/standing/outlier.ts';
import { MAX_HOLD_OFF_MS } from '../../src/lane/standing/standing.ts';
import { NONE } from '../../src/record/layout.ts';
import { standStanding } from '../support/standing.ts';

const of = (count: number) => Array.from({ length: count }, () => ({}));

t.test('never more than the share of backends is out at once, and a denied ejection is told once a second', async (t) => {
  const stand = standStanding({ maxEjected: 0.5, backends: of(4) });
  for (const slot of [0, 1, 2, 3]) stand.eject(slot);
  t.strictSame(
    [0, 1, 2, 3].map((slot) => stand.standing.admits(slot)),
    [false, false, true, true],
  );
  for (let i = 0; i < 100; i++) stand.fail(2);
  t.strictSame(stand.told, ['breaker_opened 0', 'breaker_opened 1', 'eject_denied 2', 'eject_denied 3']);
  stand.pass(999);
  stand.fail(2);
  stand.pass(1);
  t.match(stand.upstream(), { admitted: 2, ejected: 2 });
});

t.test('one backend always may be out, also the only one', async (t) => {
  const alone = standStanding({ maxEjected: 0, panicBelow: 0.5, backends: of(1) });
  alone.eject(0);
  t.notOk(alone.standing.admits(0));
  t.notOk(alone.standing.isPanicking(0), 'there is nobody to spread its load to');
  const two = standStanding({ maxEjected: 0.1, backends: of(2) });
  two.eject(0);
  two.eject(1);
  t.notOk(two.standing.admits(0));
  t.ok(two.standing.admits(1));
});

t.test('backends that active health found down are out as well when the share is counted', async (t) => {
  const stand = standStanding({ maxEjected: 0.5, backends: of(4) });
  setHealth(stand.table, 2, 'down', stand.nowMs);
  setHealth(stand.table, 3, 'down', stand.nowMs);
  stand.eject(0);
  t.ok(stand.standing.admits(0));
  t.strictSame(stand.told, ['eject_denied 0']);
});

t.test('whatever happens, at most maxEjected are ejected, with two lanes on one table', async () => {
  const action = fc.record({
    lane: fc.integer({ min: 0, max: 1 }),
    slot: fc.integer({ min: 0, max: 5 }),
    kind: fc.constantFrom('fail', 'fail', 'fail', 'succeed', 'wait', 'hold'),
  });
  fc.assert(
    fc.property(fc.double({ min: 0, max: 0.99, noNaN: true }), fc.array(action, { maxLength: 200 }), (maxEjected, actions) => {
      const stand = standStanding({ maxEjected, backends: of(6), breaker: { consecutive: 2, successes: 1 } }, 2);
      const max = Math.max(1, Math.floor(6 * maxEjected + 1e-9));
      for (const { lane, slot, kind } of actions) {
        const standing = stand.lanes[lane]!;
        if (kind === 'wait') stand.pass(400);
        else if (standing.admits(slot)) {
          const isProbe = standing.attempted(slot);
          if (kind === 'fail') standing.failed(slot, 39, isProbe);
          else standing.responded(slot, kind === 'hold' ? 503 : 200, NONE, kind === 'hold' ? 1 : NONE, isProbe);
        }
        const { ejected } = stand.upstream();
        if (ejected > max) return false;
      }
      return true;
    }),
    { seed: 42, numRuns: 300 },
  );
});

t.test('two lanes have no more probes in flight than the breaker allows, and one of them tells each change', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 60 }), (probes, actions) => {
      const stand = standStanding({ breaker: { probes, successes: 100 } }, 2);
      stand.eject(0);
      stand.pass(1_000);
      let inFlight = 0;
      for (const action of actions) {
        const standing = stand.lanes[action & 1]!;
        if (action < 4 && standing.admits(0)) {
          if (!standing.attempted(0)) return false;
          inFlight += 1;
        } else if (action >= 4 && inFlight > 0) {
          standing.responded(0, 200, NONE, NONE, true);
          inFlight -= 1;
        }
        if (inFlight > probes || stand.backend(0).probesInFlight !== inFlight) return false;
      }
      return stand.told.join() === 'breaker_opened 0,breaker_half_opened 0';
    }),
    { seed: 42, numRuns: 300 },
  );
});

t.test('an attempt that found no place left is no probe', async (t) => {
  const stand = standStanding({}, 2);
  stand.eject(0);
  stand.pass(1_000);
  const [one, other] = stand.lanes;
  t.ok(one!.admits(0) && other!.admits(0), 'both saw the place');
  t.strictSame([one!.attempted(0), other!.attempted(0)], [true, false]);
});

t.test('an upstream panics while too few are fit, and both changes are told once', async (t) => {
  const stand = standStanding({ panicBelow: 0.5, maxEjected: 1, backends: of(4), breaker: { successes: 1 } }, 2);
  stand.eject(0);
  stand.eject(1);
  t.notOk(stand.standing.isPanicking(0), 'half are fit');
  stand.eject(2);
  t.ok(stand.lanes[1]!.isPanicking(0), 'the other lane knows at once');
  t.equal(stand.upstream().isPanicking, true);
  t.equal(stand.standing.attempted(0), false, 'what is sent to an open breaker in panic is no probe');
  stand.pass(1_000);
  for (const slot of [0, 1]) {
    t.ok(stand.standing.attempted(slot));
    stand.succeed(slot, true);
  }
  t.notOk(stand.standing.isPanicking(0));
  t.strictSame(
    stand.told.filter((line) => line.startsWith('panic')),
    ['panic_began', 'panic_ended'],
  );
  t.equal(stand.details[stand.told.indexOf('panic_began')], 25);
});

t.test('active health alone brings panic too, within a tenth of a second', async (t) => {
  const stand = standStanding({ panicBelow: 0.5, backends: of(3) });
  setHealth(stand.table, 0, 'down', stand.nowMs);
  setHealth(stand.table, 1, 'down', stand.nowMs);
  stand.pass(100);
  t.ok(stand.standing.isPanicking(0));
  setHealth(stand.table, 0, 'up', stand.nowMs);
  stand.pass(100);
  t.notOk(stand.standing.isPanicking(0));
});

t.test('a backend that is down gets nothing, and starts slowly when it is up', async (t) => {
  const stand = standStanding({ slowStartMs: 1_000 });
  setHealth(stand.table, 0, 'unknown', stand.nowMs);
  t.ok(stand.standing.admits(0));
  setHealth(stand.table, 0, 'up', stand.nowMs);
  t.equal(stand.standing.share(0), 1, 'the first word about it brings no slow start');
  setHealth(stand.table, 0, 'down', stand.nowMs);
  t.notOk(stand.standing.admits(0));
  t.match(stand.backend(0), { health: 'down', state: 'closed', isAdmitted: false });
  stand.pass(5_000);
  t.notOk(stand.standing.admits(0));
  setHealth(stand.table, 0, 'up', stand.nowMs);
  t.ok(stand.standing.admits(0));
  t.equal(stand.standing.share(0), 0.1);
  stand.pass(500);
  t.equal(stand.standing.share(0), 0.5);
  stand.pass(500);
  t.equal(stand.standing.share(0), 1);
});

t.test('Retry-After of 503 holds a backend off, but never the last, nor for hours', async (t) => {
  const stand = standStanding({ breaker: { consecutive: 0 } });
  stand.standing.responded(0, 500, NONE, 30, false);
  stand.standing.responded(0, 503, NONE, NONE, false);
  stand.standing.responded(0, 429, NONE, 30, false);
  t.ok(stand.standing.admits(0), 'neither another status, nor none, nor what is said to one client');
  stand.standing.responded(0, 503, NONE, 30, false);
  t.notOk(stand.standing.admits(0));
  stand.standing.responded(1, 503, NONE, 30, false);
  t.ok(stand.standing.admits(1), 'the last one');
  stand.pass(29_999);
  t.notOk(stand.standing.admits(0));
  t.equal(stand.backend(0).heldOffUntilMs, stand.nowMs + 1);
  stand.pass(1);
  t.ok(stand.standing.admits(0));
  stand.standing.responded(1, 503, NONE, 1_000_000, false);
  t.equal(stand.backend(1).heldOffUntilMs, stand.nowMs + MAX_HOLD_OFF_MS);
  t.strictSame(stand.told, ['backend_held_off 0', 'backend_held_off 1']);
  t.strictSame(stand.details, [30, 300]);
});

t.test('a backend that does worse than the others is ejected at the end of the interval, by one lane', async (t) => {
  const outlier = { isOn: true, intervalMs: 10_000, minBackends: 5, minRequests: 100, deviations: 1.9 };
  const stand = standStanding({ outlier, backends: of(6), breaker: { consecutive: 0 } }, 2);
  for (let i = 0; i < 200; i++) {
    for (let slot = 0; slot < 6; slot++) {
      if (slot === 3 && i % 10 === 0) stand.lanes[1]!.failed(3, 39, false);
      else stand.lanes[i & 1]!.responded(slot, 200, NONE, NONE, false);
    }
  }
  t.ok(stand.standing.admits(3));
  stand.pass(10_000);
  t.strictSame(
    [0, 1, 2, 3, 4, 5].filter((slot) => !stand.standing.admits(slot)),
    [3],
  );
  t.match(stand.backend(3), { state: 'open', ejectedAs: 'outlier' });
  stand.pass(1_000);
  t.match(stand.backend(3), { state: 'half-open', ejectedAs: 'outlier' });
  t.strictSame(stand.told, ['outlier_ejected 3', 'breaker_half_opened 3']);
  stand.pass(10_000);
  t.equal(stand.told.length, 2, 'the count began anew');
});

t.test('outliers are found only where there is something to compare, and chance is no outlier', async (t) => {
  const rates = (...given: number[]) => Float64Array.from(given);
  const many = (count: number) => new Float64Array(count).fill(100);
  t.strictSame(findOutliers(rates(1, 1, 1, 1, 0.5), many(5), 5, 1.9), [4]);
  t.strictSame(findOutliers(rates(1, 1, 1, 1, 0.5), many(5), 6, 1.9), []);
  t.strictSame(findOutliers(rates(1, 1, 1, Number.NaN, 0.5), many(5), 5, 1.9), [], 'too few requests are no rate');
  t.strictSame(findOutliers(rates(1, 1, 1, 1, 0.99), many(5), 5, 1.9), [], 'one of a hundred may be chance');
  t.strictSame(findOutliers(rates(1, 1, 1, 1, 1), many(5), 5, 1.9), []);
  t.strictSame(findOutliers(rates(0, 0, 0, 0, 0), many(5), 5, 1.9), [], 'all alike');
  t.strictSame(findOutliers(rates(1, 0.3, 1, 1, 1, 1, 1, 1, 1, 0.2), many(10), 5, 1.2), [9, 1], 'the worst first');
});
