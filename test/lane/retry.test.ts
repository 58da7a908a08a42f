import t from 'tap';
import { reasonNumber } from '../../src/base/errors.ts';
import { FAILED_IDEMPOTENT, FAILED_REPLAYABLE, FAILED_UNSENT } from '../../src/record/layout.ts';
import { type LaneStand, standLane } from '../support/lanes.ts';
import { type Decision, type SampleAttemptFailed, sampleAttemptFailed } from '../support/records.ts';
import { type SnapshotWishes, sampleSnapshot } from '../support/snapshots.ts';

const SAFE = FAILED_IDEMPOTENT | FAILED_REPLAYABLE;

/** Forwards a GET, lets its attempt fail as said, gives stand, first decision and what the lane answered. */
function failOnce(given: Partial<SampleAttemptFailed>, wishes: SnapshotWishes = {}): { stand: LaneStand; first: Decision; next: Decision } {
  const stand = standLane(sampleSnapshot(wishes));
  const first = stand.ask({})[0]!;
  return { stand, first, next: fail(stand, first, given) };
}

function fail(stand: LaneStand, last: Decision, given: Partial<SampleAttemptFailed>): Decision {
  if (last.kind !== 'forward') throw new Error('nothing was forwarded');
  stand.reactor.offerAttemptFailed(sampleAttemptFailed({ slot: last.slot, tag: last.tag, plan: last.plan, ...given }));
  stand.lane.decide();
  return stand.reactor.decisions()[0]!;
}

t.test('an attempt that sent nothing is made again at another backend, whatever the method', async (t) => {
  const { stand, first, next } = failOnce({ reason: reasonNumber('connect_failed'), flags: FAILED_UNSENT | FAILED_REPLAYABLE });
  t.match(first, { kind: 'forward', slot: 0 });
  t.match(next, { kind: 'forward', slot: 1 });
  t.strictSame(stand.noted.attempts, [
    { slot: 0, isRetry: false },
    { slot: 1, isRetry: true },
  ]);
  t.strictSame(stand.noted.failures, [{ slot: 0, reason: reasonNumber('connect_failed') }]);
});

t.test('an idempotent request without an answer is made again', async (t) => {
  t.match(failOnce({ reason: reasonNumber('backend_reset'), flags: SAFE }).next, { kind: 'forward', slot: 1 });
  t.match(failOnce({ reason: reasonNumber('head_timeout'), flags: SAFE }).next, { kind: 'forward', slot: 1 });
});

t.test('what may have been processed and is not idempotent is answered', async (t) => {
  const { next } = failOnce({ reason: reasonNumber('backend_reset'), flags: FAILED_REPLAYABLE });
  t.match(next, { kind: 'respond', status: 502, reason: reasonNumber('backend_reset') });
});

t.test('what cannot be replayed is answered', async (t) => {
  const { next } = failOnce({ reason: reasonNumber('backend_goaway'), flags: FAILED_UNSENT | FAILED_IDEMPOTENT });
  t.match(next, { kind: 'respond', status: 502, reason: reasonNumber('backend_goaway') });
});

t.test('a reason that is never retried is answered', async (t) => {
  const { next } = failOnce({ reason: reasonNumber('exchange_timeout'), flags: SAFE | FAILED_UNSENT });
  t.match(next, { kind: 'respond', status: 504, reason: reasonNumber('exchange_timeout') });
});

t.test('a reason that is retried only when nothing was sent is answered when something was', async (t) => {
  const { next } = failOnce({ reason: reasonNumber('sessions_exhausted'), flags: SAFE });
  t.match(next, { kind: 'respond', status: 503 });
});

t.test('attempts end with the number the route allows', async (t) => {
  const wishes = { upstreams: [{ backends: [{}, {}, {}, {}] }], routes: [{ retries: { attempts: 2 } }] };
  const { stand, first, next } = failOnce({ reason: 32, attempts: 1 }, wishes);
  const third = fail(stand, next, { reason: 32, attempts: 2 });
  const last = fail(stand, third, { reason: 32, attempts: 3 });
  t.match([first, next, third], [{ kind: 'forward' }, { kind: 'forward' }, { kind: 'forward' }]);
  t.equal(new Set([first, next, third].map((decision) => decision.kind === 'forward' && decision.slot)).size, 3, 'each at another backend');
  t.match(last, { kind: 'respond', status: 502 });
  t.match(failOnce({ reason: 32 }, { routes: [{ retries: { attempts: 0 } }] }).next, { kind: 'respond', status: 502 });
});

t.test('an upstream with one backend gets the retry when only a session ended', async (t) => {
  const wishes = { upstreams: [{ backends: [{}] }] };
  for (const code of ['backend_goaway', 'backend_refused', 'backend_closed'] as const) {
    t.match(failOnce({ reason: reasonNumber(code), flags: SAFE | FAILED_UNSENT }, wishes).next, { kind: 'forward', slot: 0 }, code);
  }
  t.match(failOnce({ reason: reasonNumber('connect_failed') }, wishes).next, { kind: 'respond', status: 502 });
});

t.test('a backend that could not be reached is passed over for a moment by other requests', async (t) => {
  const { stand } = failOnce({ reason: reasonNumber('connect_failed') });
  const slots = (decisions: Decision[]) => decisions.map((decision) => decision.kind === 'forward' && decision.slot);
  t.strictSame(slots(stand.ask({}, {}, {}, {})), [1, 1, 1, 1]);
  stand.clock.nowMs += 1_000;
  t.ok(slots(stand.ask({}, {}, {}, {})).includes(0));
});

t.test('a GOAWAY is no mark against its backend', async (t) => {
  const { stand } = failOnce({ reason: reasonNumber('backend_goaway'), flags: SAFE | FAILED_UNSENT });
  t.ok(stand.ask({}, {}, {}).some((decision) => decision.kind === 'forward' && decision.slot === 0));
});

t.test('the answer names the failure and the request id, when the reactor sent it along', async (t) => {
  const { next } = failOnce({ reason: reasonNumber('connect_timeout'), flags: 0, requestId: 'abc' });
  t.match(next, { kind: 'respond', status: 504, body: '{"error":"connect_timeout","status":504,"request_id":"abc"}\n' });
  const { next: without } = failOnce({ reason: reasonNumber('connect_timeout'), flags: 0 });
  t.match(without, { kind: 'respond', body: '{"error":"connect_timeout","status":504}' });
});
