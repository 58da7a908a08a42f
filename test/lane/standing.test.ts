import t from 'tap';
import { reasonNumber } from '../../src/base/errors.ts';
import { PROBE_EXPIRY_MS } from '../../src/lane/standing/breaker.ts';
import { NONE } from '../../src/record/layout.ts';
import { standStanding } from '../support/standing.ts';

t.test('failures in a row open the breaker, and one that is not in the row does not', async (t) => {
  const stand = standStanding();
  stand.fail(0);
  stand.fail(0);
  stand.succeed(0);
  stand.fail(0);
  stand.fail(0);
  t.ok(stand.standing.admits(0));
  t.match(stand.backend(0), { state: 'closed', consecutiveFailures: 2, lastFailure: { reason: 'backend_reset', status: 0 } });
  stand.fail(0);
  t.notOk(stand.standing.admits(0));
  t.ok(stand.standing.admits(1), 'the other goes on');
  t.match(stand.backend(0), { state: 'open', ejectedAs: 'breaker', isAdmitted: false, ejections: 1, openUntilMs: stand.nowMs + 1_000 });
  t.strictSame(stand.told, ['breaker_opened 0']);
  t.strictSame(stand.details, [reasonNumber('backend_reset')]);
});

t.test('an open breaker half-opens after its time, lets its probes through, and closes when enough succeed', async (t) => {
  const stand = standStanding();
  stand.eject(0);
  stand.pass(999);
  t.notOk(stand.standing.admits(0));
  stand.pass(1);
  t.ok(stand.standing.admits(0));
  t.ok(stand.standing.attempted(0), 'the attempt is a probe');
  t.notOk(stand.standing.admits(0), 'one at a time');
  t.match(stand.backend(0), { state: 'half-open', probesInFlight: 1 });
  stand.succeed(0, true);
  t.ok(stand.standing.attempted(0));
  stand.succeed(0, true);
  t.ok(stand.standing.admits(0));
  t.notOk(stand.standing.attempted(0), 'attempts are plain again');
  t.match(stand.backend(0), { state: 'closed', isAdmitted: true, consecutiveFailures: 0, sinceMs: stand.nowMs });
  t.strictSame(stand.told, ['breaker_opened 0', 'breaker_half_opened 0', 'breaker_closed 0']);
});

t.test('a probe that fails opens the breaker at once, for twice as long each time, up to the maximum', async (t) => {
  const stand = standStanding();
  stand.eject(0);
  const times: number[] = [];
  for (let i = 0; i < 5; i++) {
    times.push(stand.backend(0).openUntilMs - stand.nowMs);
    stand.pass(times.at(-1)!);
    t.ok(stand.standing.admits(0) && stand.standing.attempted(0));
    stand.fail(0, true);
  }
  t.strictSame(times, [1_000, 2_000, 4_000, 8_000, 10_000]);
});

t.test('a backend that fails again soon after its return is ejected for longer; after a good while that is forgotten', async (t) => {
  const stand = standStanding();
  const recover = () => {
    stand.pass(stand.backend(0).openUntilMs - stand.nowMs);
    for (let i = 0; i < 2; i++) {
      t.ok(stand.standing.admits(0) && stand.standing.attempted(0));
      stand.succeed(0, true);
    }
  };
  stand.eject(0);
  recover();
  stand.pass(3_999);
  stand.eject(0);
  t.equal(stand.backend(0).openUntilMs - stand.nowMs, 2_000);
  t.equal(stand.backend(0).ejectionsInRow, 2);
  recover();
  stand.pass(8_000);
  stand.eject(0);
  t.equal(stand.backend(0).openUntilMs - stand.nowMs, 1_000);
  t.match(stand.backend(0), { ejectionsInRow: 1, ejections: 3 });
});

t.test('what was sent before the ejection says nothing about a backend that is out', async (t) => {
  const stand = standStanding();
  stand.eject(0);
  stand.fail(0);
  stand.succeed(0);
  stand.pass(1_000);
  t.ok(stand.standing.admits(0));
  stand.fail(0);
  stand.succeed(0);
  stand.succeed(0);
  t.equal(stand.backend(0).state, 'half-open');
  t.strictSame(stand.told, ['breaker_opened 0', 'breaker_half_opened 0']);
});

t.test('what counts is configured: kinds of failures, statuses, gRPC statuses', async (t) => {
  const failures = {
    isConnectCounted: false,
    isResetCounted: false,
    isTimeoutCounted: true,
    statuses: [500],
    grpcStatuses: [14],
  };
  const stand = standStanding({ breaker: { consecutive: 1, failures }, maxEjected: 1, backends: Array.from({ length: 16 }, () => ({})) });
  const { standing } = stand;
  standing.failed(0, reasonNumber('connect_failed'), false);
  standing.failed(1, reasonNumber('connect_timeout'), false);
  standing.failed(2, reasonNumber('backend_reset'), false);
  standing.failed(3, reasonNumber('head_timeout'), false);
  standing.failed(4, reasonNumber('idle_timeout'), false);
  standing.failed(5, reasonNumber('attempt_timeout'), false);
  standing.failed(6, reasonNumber('backend_refused'), false);
  standing.failed(7, reasonNumber('backend_goaway'), false);
  standing.responded(8, 500, NONE, NONE, false);
  standing.responded(9, 502, NONE, NONE, false);
  standing.responded(10, 200, 14, NONE, false);
  standing.responded(11, 200, 13, NONE, false);
  standing.responded(12, 200, 0, NONE, false);
  const open = stand.snapshot.backends.map(({ slot }) => slot).filter((slot) => !standing.admits(slot));
  t.strictSame(open, [1, 3, 4, 5, 8, 10]);
  t.match(stand.backend(8).lastFailure, { reason: 'response_status', status: 500, atMs: stand.nowMs });
});

t.test('with everything off no failure opens anything', async (t) => {
  const stand = standStanding({ breaker: { consecutive: 0, rate: 0, count: 0 } });
  for (let i = 0; i < 1_000; i++) stand.fail(0);
  t.ok(stand.standing.admits(0));
  t.strictSame(stand.told, []);
});

t.test('a probe that ends without saying anything makes room for another', async (t) => {
  const stand = standStanding();
  stand.eject(0);
  stand.pass(1_000);
  t.ok(stand.standing.admits(0) && stand.standing.attempted(0));
  stand.standing.abandoned(0, true);
  t.ok(stand.standing.admits(0) && stand.standing.attempted(0));
  stand.standing.failed(0, reasonNumber('backend_refused'), true);
  t.ok(stand.standing.admits(0), 'a refusal is no failure');
  stand.standing.abandoned(0, true);
  stand.standing.abandoned(0, true);
  t.equal(stand.backend(0).probesInFlight, 0, 'given back twice');
});

t.test('probes that were lost with their worker do not keep a backend out', async (t) => {
  const stand = standStanding();
  stand.eject(0);
  stand.pass(1_000);
  t.ok(stand.standing.admits(0) && stand.standing.attempted(0));
  stand.pass(PROBE_EXPIRY_MS - 1);
  t.notOk(stand.standing.admits(0));
  stand.pass(1);
  t.ok(stand.standing.admits(0) && stand.standing.attempted(0));
  t.equal(stand.backend(0).probesInFlight, 1);
});

t.test('a backend that comes back starts slowly', async (t) => {
  const stand = standStanding({ slowStartMs: 10_000, breaker: { successes: 1 } });
  t.equal(stand.standing.share(0), 1);
  stand.eject(0);
  stand.pass(1_000);
  t.ok(stand.standing.admits(0) && stand.standing.attempted(0));
  stand.succeed(0, true);
  const shares = [0, 2_500, 2_500, 4_999, 1].map((ms) => {
    stand.pass(ms);
    return stand.standing.share(0);
  });
  t.strictSame(shares, [0.1, 0.25, 0.5, 0.9999, 1]);
  t.equal(stand.backend(0).share, 1);
  t.ok(stand.standing.admits(0));
});

t.test('a breaker that half-opens forgets the latency from before, so that its backend is tried', async (t) => {
  const { snapshot, table } = standStanding();
  const forgotten: number[] = [];
  const { Standing } = await import('../../src/lane/standing/standing.ts');
  const standing = new Standing({
    snapshot,
    table,
    observer: { noted: () => {} } as never,
    backends: { forget: (slot) => void forgotten.push(slot) },
  });
  standing.begin(5_000);
  for (let i = 0; i < 3; i++) standing.failed(1, reasonNumber('backend_reset'), false);
  standing.begin(6_000);
  t.strictSame(forgotten, [1]);
});
