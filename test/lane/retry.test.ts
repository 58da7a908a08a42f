import t from 'tap';
import { reasonNumber } from '../../src/base/errors.ts';
import { BACKS_OFF, FELL_BACK } from '../../src/lane/memo.ts';
import { RETRIED_REASONS, RETRYABLE_REASONS } from '../../src/lane/retry/terms.ts';
import {
  FAILED_HEDGE,
  FAILED_HELD,
  FAILED_IDEMPOTENT,
  FAILED_OTHER_RUNS,
  FAILED_REPLAYABLE,
  FAILED_UNSENT,
  FAILED_WAITED,
  FORWARD_HOLD,
  NONE,
} from '../../src/record/layout.ts';
import { type LaneStand, standLane } from '../support/lanes.ts';
import { type Decision, type SampleAttemptFailed, type SampleHead, sampleAttemptFailed } from '../support/records.ts';
import { type RouteWish, type SnapshotWishes, sampleSnapshot } from '../support/snapshots.ts';

const SAFE = FAILED_IDEMPOTENT | FAILED_REPLAYABLE;
/** A POST: not idempotent. */
const POST: Partial<SampleHead> = { method: 'POST', flags: 0 };

interface Failed {
  stand: LaneStand;
  first: Decision;
  next: Decision;
}

/**
 * Forwards a GET, lets its attempt fail as said, gives stand, first decision and what the lane
 * answered.
 */
function failOnce(given: Partial<SampleAttemptFailed>, wishes: SnapshotWishes = {}, head: Partial<SampleHead> = {}): Failed {
  const stand = standLane(sampleSnapshot(wishes));
  const first = stand.ask(head)[0]!;
  return { stand, first, next: fail(stand, first, given) };
}

/**
 * Tells the lane that the attempt `last` failed; `last` may also be a wait, whose attempt is said
 * by `given`.
 */
function fail(stand: LaneStand, last: Decision, given: Partial<SampleAttemptFailed>): Decision {
  if (last.kind !== 'forward' && last.kind !== 'wait') throw new Error('nothing was forwarded');
  const [memo0, memo1, memo2] = last.memo;
  const attempt = last.kind === 'forward' ? { slot: last.slot, plan: last.plan } : {};
  stand.reactor.offerAttemptFailed(sampleAttemptFailed({ ...attempt, tag: last.tag, memo0, memo1, memo2, ...given }));
  stand.lane.decide();
  return stand.reactor.decisions()[0]!;
}

/** A route without pauses between attempts, unless it says so. */
function retrying(retries: RouteWish['retries'], more: Omit<RouteWish, 'retries'> = {}): SnapshotWishes {
  return { upstreams: [{ backends: [{}, {}, {}, {}] }], routes: [{ ...more, retries: { backoffBaseMs: 0, ...retries } }] };
}

const codes = (stand: LaneStand) => stand.noted.notes.map(({ note }) => note);

t.test('an attempt that sent nothing is made again at another backend, at once, whatever the method', async (t) => {
  const { stand, first, next } = failOnce({ reason: reasonNumber('connect_failed'), flags: FAILED_UNSENT | FAILED_REPLAYABLE }, {}, POST);
  t.match(first, { kind: 'forward', slot: 0 });
  t.match(next, { kind: 'forward', slot: 1 });
  t.strictSame(stand.noted.attempts, [
    { slot: 0, isRetry: false },
    { slot: 1, isRetry: true },
  ]);
  t.strictSame(stand.noted.failures, [{ slot: 0, reason: reasonNumber('connect_failed') }]);
  t.match(stand.noted.notes, [{ note: 'retried', slot: 0, detail: reasonNumber('connect_failed') }]);
});

t.test('an idempotent request without an answer is made again', async (t) => {
  const wishes = retrying({ on: { isTimeout: true } });
  for (const code of ['backend_reset', 'head_timeout', 'attempt_timeout'] as const) {
    t.match(failOnce({ reason: reasonNumber(code), flags: SAFE }, wishes).next, { kind: 'forward', slot: 1 }, code);
  }
});

t.test('only failures that the route names are tried again', async (t) => {
  const { stand, next } = failOnce({ reason: reasonNumber('backend_reset'), flags: SAFE }, retrying({ on: { isReset: false } }));
  t.match(next, { kind: 'respond', status: 502 });
  t.strictSame(codes(stand), []);
});

t.test('what may have been processed and is not idempotent is answered', async (t) => {
  const { stand, next } = failOnce({ reason: reasonNumber('backend_reset'), flags: FAILED_REPLAYABLE }, {}, POST);
  t.match(next, { kind: 'respond', status: 502, reason: reasonNumber('backend_reset') });
  t.strictSame(codes(stand), ['retry_denied_unsafe']);
});

t.test('a method that the operator names is repeated although it is not idempotent', async (t) => {
  const wishes = retrying({ methods: ['POST'] });
  t.match(failOnce({ reason: reasonNumber('backend_reset'), flags: FAILED_REPLAYABLE }, wishes, POST).next, { kind: 'forward' });
});

t.test('what cannot be replayed is answered', async (t) => {
  const { stand, next } = failOnce({ reason: reasonNumber('backend_goaway'), flags: FAILED_UNSENT | FAILED_IDEMPOTENT });
  t.match(next, { kind: 'respond', status: 502, reason: reasonNumber('backend_goaway') });
  t.strictSame(codes(stand), ['retry_denied_unsafe']);
});

t.test('a reason that is never retried is answered', async (t) => {
  const { next } = failOnce({ reason: reasonNumber('exchange_timeout'), flags: SAFE | FAILED_UNSENT });
  t.match(next, { kind: 'respond', status: 504, reason: reasonNumber('exchange_timeout') });
});

t.test('a reason that is retried only when nothing was sent is answered when something was', async (t) => {
  const { next } = failOnce({ reason: reasonNumber('sessions_exhausted'), flags: SAFE });
  t.match(next, { kind: 'respond', status: 503 });
});

t.test('every reason that may be tried again is in one of the kinds an operator can name', async (t) => {
  t.strictSame([...RETRIED_REASONS].sort(), [...RETRYABLE_REASONS].sort());
});

t.test('a failure after something was sent is waited out for a random time up to the back-off, and twice that the next time', async (t) => {
  const wishes = {
    upstreams: [{ backends: [{}, {}, {}, {}] }],
    routes: [{ retries: { attempts: 3, backoffBaseMs: 100, backoffMaxMs: 150 } }],
  };
  const longest = [0, 0];
  for (let seed = 1; seed <= 200; seed++) {
    const stand = standLane(sampleSnapshot(wishes), { seed });
    const first = stand.ask({})[0]!;
    const given = { reason: reasonNumber('backend_reset'), flags: SAFE };
    const pause = fail(stand, first, given);
    if (pause.kind === 'wait') longest[0] = Math.max(longest[0]!, pause.waitMs);
    const again = pause.kind === 'wait' ? fail(stand, pause, { ...given, slot: 0, flags: SAFE | FAILED_WAITED }) : pause;
    const second = fail(stand, again, { ...given, attempts: 2 });
    if (second.kind === 'wait') longest[1] = Math.max(longest[1]!, second.waitMs);
  }
  t.ok(longest[0]! > 90 && longest[0]! < 100, `first pause up to 100 ms, seen ${longest[0]}`);
  t.ok(longest[1]! > 135 && longest[1]! < 150, `second pause capped at 150 ms, seen ${longest[1]}`);
});

t.test('a failure that waited is attempted again without being learned or paid for twice', async (t) => {
  const wishes = { upstreams: [{ backends: [{}, {}] }], routes: [{ retries: { backoffBaseMs: 1_000_000, backoffMaxMs: 1_000_000 } }] };
  const { stand, next: pause } = failOnce({ reason: reasonNumber('backend_reset'), flags: SAFE }, wishes);
  t.match(pause, { kind: 'wait', reason: reasonNumber('backend_reset') });
  t.ok(pause.kind === 'wait' && (pause.memo[0] & BACKS_OFF) !== 0);
  const again = fail(stand, pause, { slot: 0, reason: reasonNumber('backend_reset'), flags: SAFE | FAILED_WAITED });
  t.match(again, { kind: 'forward', slot: 1 });
  t.ok(again.kind === 'forward' && (again.memo[0] & BACKS_OFF) === 0);
  t.equal(stand.noted.failures.length, 1);
  t.strictSame(codes(stand), ['retried']);
});

t.test('a status that the route names is held and tried again elsewhere', async (t) => {
  const wishes = retrying({ on: { statuses: [503] } });
  const held = { reason: reasonNumber('response_status'), flags: SAFE | FAILED_HELD, status: 503 };
  const { first, next } = failOnce(held, wishes);
  t.ok(first.kind === 'forward' && (first.flags & FORWARD_HOLD) !== 0, 'the first attempt holds');
  t.match(next, { kind: 'forward', slot: 1 });
  t.ok(next.kind === 'forward' && (next.flags & FORWARD_HOLD) === 0, 'the last does not: its answer goes on as it is');
});

t.test('a held response is passed on when it cannot be tried again', async (t) => {
  const held = { reason: reasonNumber('response_status'), flags: FAILED_IDEMPOTENT | FAILED_HELD, status: 503 };
  const { stand, next } = failOnce(held, retrying({ on: { statuses: [503] } }));
  t.match(next, { kind: 'commit', reason: 0 });
  t.strictSame(codes(stand), ['retry_denied_unsafe']);
});

t.test('responses are not held for requests that may not be repeated', async (t) => {
  const stand = standLane(sampleSnapshot(retrying({ on: { statuses: [503] } })));
  const first = stand.ask(POST)[0]!;
  t.ok(first.kind === 'forward' && (first.flags & FORWARD_HOLD) === 0);
});

t.test('an upstream with one backend gets a held request again, after the pause', async (t) => {
  const wishes = { upstreams: [{ backends: [{}] }], routes: [{ retries: { backoffBaseMs: 0, on: { statuses: [503] } } }] };
  const held = { reason: reasonNumber('response_status'), flags: SAFE | FAILED_HELD, status: 503 };
  t.match(failOnce(held, wishes).next, { kind: 'forward', slot: 0 });
});

t.test('a Retry-After that the route allows is waited for when there is no other backend', async (t) => {
  const held = { reason: reasonNumber('response_status'), flags: SAFE | FAILED_HELD, status: 503, retryAfterS: 2 };
  const wishes = (maxRetryAfterMs: number) => ({
    upstreams: [{ backends: [{}] }],
    routes: [{ retries: { backoffBaseMs: 0, maxRetryAfterMs, on: { statuses: [503] } } }],
  });
  t.match(failOnce(held, wishes(5_000)).next, { kind: 'wait', waitMs: 2_000 });
  t.match(failOnce(held, wishes(1_000)).next, { kind: 'forward' }, 'a longer one is passed over');
});

t.test('retries are a share of the requests, plus a floor a second', async (t) => {
  const wishes = {
    upstreams: [{ backends: [{}, {}], breaker: { consecutive: 0 }, retryBudget: { ratio: 0.2, minPerSecond: 1, windowMs: 10_000 } }],
    routes: [{ retries: { backoffBaseMs: 0 } }],
  };
  const stand = standLane(sampleSnapshot(wishes));
  let retried = 0;
  for (let i = 0; i < 100; i++) {
    const first = stand.ask({})[0]!;
    if (fail(stand, first, { reason: reasonNumber('backend_reset'), flags: SAFE }).kind === 'forward') retried += 1;
  }
  // 20 % of up to 100 requests, and 1 a second for the 10 s of the window.
  t.equal(retried, 30);
  t.equal(stand.noted.notes.filter(({ note }) => note === 'retry_denied_budget').length, 70);
  stand.clock.nowMs += 11_000;
  const later = stand.ask({})[0]!;
  t.match(
    fail(stand, later, { reason: reasonNumber('backend_reset'), flags: SAFE }),
    { kind: 'forward' },
    'a new window has its own budget',
  );
});

t.test('that a budget is spent is told once by all shards, and once more when it has denied nothing for a while', async (t) => {
  const wishes = {
    upstreams: [{ backends: [{}, {}], breaker: { consecutive: 0 }, retryBudget: { ratio: 0, minPerSecond: 1, windowMs: 1_000 } }],
    routes: [{ retries: { backoffBaseMs: 0 } }],
  };
  const snapshot = sampleSnapshot(wishes);
  const one = standLane(snapshot);
  const other = standLane(snapshot);
  other.lane.apply(snapshot, one.shared, other.observer);
  const told = () => [...one.noted.notes, ...other.noted.notes].filter(({ note }) => note.startsWith('budget_'));
  const deny = (stand: LaneStand) => fail(stand, stand.ask({})[0]!, { reason: reasonNumber('backend_reset'), flags: SAFE });
  const pass = (ms: number) => {
    for (const stand of [one, other]) {
      stand.clock.nowMs += ms;
      stand.lane.decide();
    }
  };
  t.match(deny(one), { kind: 'forward' });
  t.strictSame(told(), []);
  for (const stand of [one, other, one]) t.match(deny(stand), { kind: 'respond' });
  t.strictSame(told(), [{ note: 'budget_spent', upstream: 0, slot: -1, detail: 0 }]);
  pass(4_000);
  t.equal(told().length, 1);
  pass(2_000);
  t.strictSame(told()[1], { note: 'budget_restored', upstream: 0, slot: -1, detail: 0 });
  pass(2_000);
  t.equal(told().length, 2);
});

t.test('the budget is one for all shards', async (t) => {
  const wishes = {
    upstreams: [{ backends: [{}, {}], retryBudget: { ratio: 0, minPerSecond: 1, windowMs: 1_000 } }],
    routes: [{ retries: { backoffBaseMs: 0 } }],
  };
  const snapshot = sampleSnapshot(wishes);
  const one = standLane(snapshot);
  const other = standLane(snapshot);
  other.lane.apply(snapshot, one.shared, { ...one.observer });
  const reset = { reason: reasonNumber('backend_reset'), flags: SAFE };
  t.match(fail(one, one.ask({})[0]!, reset), { kind: 'forward' });
  t.match(fail(other, other.ask({})[0]!, reset), { kind: 'respond' });
});

t.test('while another attempt runs a failure is learned and nothing is decided', async (t) => {
  const stand = standLane(sampleSnapshot());
  const first = stand.ask({})[0]!;
  t.equal(fail(stand, first, { reason: reasonNumber('backend_reset'), flags: SAFE | FAILED_OTHER_RUNS | FAILED_HEDGE }), undefined);
  t.equal(stand.noted.failures.length, 1);
});

t.test('the fallback upstream gets the request when the first has failed', async (t) => {
  const wishes: SnapshotWishes = {
    upstreams: [{ backends: [{}] }, { backends: [{}] }],
    routes: [{ fallback: { kind: 'upstream', target: { upstream: 1, weight: 100, subset: {} } } }],
  };
  const { stand, next } = failOnce({ reason: reasonNumber('connect_failed'), flags: SAFE | FAILED_UNSENT }, wishes);
  t.match(next, { kind: 'forward', slot: 1 });
  t.ok(next.kind === 'forward' && (next.memo[0] & FELL_BACK) !== 0);
  t.ok(codes(stand).includes('fallback_used'));
  const last = fail(stand, next, { reason: reasonNumber('connect_failed'), flags: SAFE | FAILED_UNSENT, attempts: 2 });
  t.match(last, { kind: 'respond', status: 502 }, 'a fallback has none of its own');
});

t.test('the fixed fallback answers when every attempt has failed', async (t) => {
  const answer = { status: 200, fields: [['content-type', 'text/plain']] as [string, string][], body: 'later' };
  const wishes: SnapshotWishes = { upstreams: [{ backends: [{}] }], routes: [{ fallback: { kind: 'fixed', answer } }] };
  const { next } = failOnce({ reason: reasonNumber('connect_failed'), flags: SAFE | FAILED_UNSENT }, wishes);
  t.match(next, { kind: 'respond', status: 200, reason: reasonNumber('fallback_response'), body: 'later' });
});

t.test('a later attempt keeps the deadline and the values that the first brought', async (t) => {
  const { next } = failOnce({ reason: reasonNumber('backend_reset'), flags: SAFE }, retrying({}, { exchangeTimeoutMs: 5_000 }));
  t.match(next, { kind: 'forward', exchangeTimeoutMs: NONE, values: [] });
});

t.test('attempts end with the number the route allows', async (t) => {
  const wishes = retrying({ attempts: 2 });
  const { stand, first, next } = failOnce({ reason: 32, attempts: 1 }, wishes);
  const third = fail(stand, next, { reason: 32, attempts: 2 });
  const last = fail(stand, third, { reason: 32, attempts: 3 });
  t.match([first, next, third], [{ kind: 'forward' }, { kind: 'forward' }, { kind: 'forward' }]);
  t.equal(new Set([first, next, third].map((decision) => decision.kind === 'forward' && decision.slot)).size, 3, 'each at another backend');
  t.match(last, { kind: 'respond', status: 502 });
  t.match(failOnce({ reason: 32 }, { routes: [{ retries: { attempts: 0 } }] }).next, { kind: 'respond', status: 502 });
});

t.test('a POST of the first route, whose memo is 0, has as many attempts as one of the second, and the fallback', async (t) => {
  const unreached = { reason: reasonNumber('connect_failed'), flags: FAILED_UNSENT | FAILED_REPLAYABLE };
  const fallback = { kind: 'upstream', target: { upstream: 1, weight: 100, subset: {} } } as const;
  const route: RouteWish = { retries: { attempts: 2, backoffBaseMs: 0 }, fallback };
  const upstreams = [{ backends: [{}, {}, {}, {}], breaker: { consecutive: 0 }, overload: { isGuarded: false } }, { backends: [{}] }];
  const routes = [
    { ...route, match: { path: '/first' } },
    { ...route, match: { path: '/second' } },
  ];
  for (const path of ['/first', '/second']) {
    const { stand, first, next } = failOnce(unreached, { upstreams, routes }, { ...POST, path });
    if (path === '/first') t.match(first, { kind: 'forward', memo: [0, 0, 0] });
    const third = fail(stand, next, { ...unreached, attempts: 2 });
    t.match(third, { kind: 'forward' }, `${path}: the third attempt`);
    const last = fail(stand, third, { ...unreached, attempts: 3 });
    t.match(last, { kind: 'forward', slot: 4 }, `${path}: the fallback`);
  }
});

t.test('an upstream with one backend gets the retry when only a session ended', async (t) => {
  const wishes = { upstreams: [{ backends: [{}] }] };
  for (const code of ['backend_goaway', 'backend_closed'] as const) {
    t.match(failOnce({ reason: reasonNumber(code), flags: SAFE | FAILED_UNSENT }, wishes).next, { kind: 'forward', slot: 0 }, code);
  }
  const refused = failOnce({ reason: reasonNumber('backend_refused'), flags: SAFE | FAILED_UNSENT }, wishes).next;
  t.match(refused, { kind: 'wait' }, 'one that refuses is given a pause');
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

const TO_SPARE = { kind: 'upstream', target: { upstream: 1, weight: 100, subset: {} } } as const;
const TWO_UPSTREAMS = [{ backends: [{}, {}] }, { backends: [{}] }];

t.test('a route without retries still has its fallback after a reset, and keeps the body for it', async (t) => {
  const wishes: SnapshotWishes = { upstreams: TWO_UPSTREAMS, routes: [{ retries: { attempts: 0 }, fallback: TO_SPARE }] };
  for (const code of ['backend_reset', 'backend_closed', 'head_timeout', 'attempt_timeout'] as const) {
    const { first, next } = failOnce({ reason: reasonNumber(code), flags: SAFE }, wishes);
    t.ok(first.kind === 'forward' && first.replayBytes > 0, 'the body is kept');
    t.match(next, { kind: 'forward', slot: 2 }, code);
  }
  const { next } = failOnce({ reason: reasonNumber('backend_reset'), flags: FAILED_REPLAYABLE }, wishes, POST);
  t.match(next, { kind: 'respond', status: 502 }, 'what may not be repeated is not');
  const { first } = failOnce({ reason: 39 }, { routes: [{ retries: { attempts: 0 } }] });
  t.match(first, { replayBytes: 0 }, 'nothing is kept where nothing could be sent again');
});

const HELD = { reason: reasonNumber('response_status'), status: 503, flags: SAFE | FAILED_HELD };
const ON_503 = { statuses: [503], grpcStatuses: [14] };

t.test('a response whose status the fallback names is held, also without retries, and the fallback answers', async (t) => {
  const wishes: SnapshotWishes = {
    upstreams: TWO_UPSTREAMS,
    routes: [{ retries: { attempts: 0 }, fallback: TO_SPARE, fallbackOn: ON_503 }],
  };
  const { stand, first, next } = failOnce(HELD, wishes);
  t.ok(first.kind === 'forward' && (first.flags & FORWARD_HOLD) !== 0);
  t.match(next, { kind: 'forward', slot: 2 });
  t.ok(next.kind === 'forward' && (next.flags & FORWARD_HOLD) === 0, 'what the fallback says goes on');
  t.ok(codes(stand).includes('fallback_used'));
  t.match(failOnce({ ...HELD, status: 200, grpcStatus: 14 }, wishes).next, { kind: 'forward', slot: 2 }, 'or its gRPC status');
  const post = failOnce({ ...HELD, flags: FAILED_REPLAYABLE | FAILED_HELD }, wishes, POST);
  t.ok(post.first.kind === 'forward' && (post.first.flags & FORWARD_HOLD) === 0, 'a POST is not sent again, so its response is not held');
});

t.test('a fixed fallback answers in the place of a status for any method', async (t) => {
  const fallback = { kind: 'fixed', answer: { status: 200, fields: [], body: 'later' } } as const;
  const { first, next } = failOnce({ ...HELD, flags: FAILED_HELD }, { routes: [{ fallback, fallbackOn: ON_503 }] }, POST);
  t.ok(first.kind === 'forward' && (first.flags & FORWARD_HOLD) !== 0);
  t.match(next, { kind: 'respond', status: 200, body: 'later' });
});

t.test('a response that the fallback does not name is passed on, though it was held for retries', async (t) => {
  const on = { isConnect: true, isRefused: true, isReset: true, isTimeout: false, statuses: [502], grpcStatuses: [] };
  const wishes: SnapshotWishes = {
    upstreams: TWO_UPSTREAMS,
    routes: [{ retries: { attempts: 1, on, backoffBaseMs: 0 }, fallback: TO_SPARE, fallbackOn: ON_503 }],
  };
  const { stand, next } = failOnce({ ...HELD, status: 502 }, wishes);
  t.match(next, { kind: 'forward', slot: 1 }, 'a status of the retries is tried again');
  t.match(fail(stand, next, { ...HELD, status: 502, attempts: 2 }), { kind: 'commit' }, 'and passed on when there is no more');
  t.match(failOnce(HELD, wishes).next, { kind: 'forward', slot: 2 }, 'a status of the fallback alone is not tried again');
});
