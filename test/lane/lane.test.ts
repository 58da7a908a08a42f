import t from 'tap';
import { REASONS, reasonNumber } from '../../src/base/errors.ts';
import { LATENCY_EWMA_F64 } from '../../src/base/tables.ts';
import type { Rule } from '../../src/lane/admit/rule.ts';
import { answerFor, MAX_ANSWER_BYTES } from '../../src/lane/answer/answer.ts';
import { createSharedState } from '../../src/lane/shared.ts';
import {
  COMPLETED_BY_BACKEND,
  COMPLETED_BY_CLIENT,
  COMPLETED_COMMITTED,
  FORWARD_KEEP_REQUEST_ID,
  FORWARD_TELL_FAILURES,
  HEAD_HAS_BODY,
  HEAD_LENGTH_KNOWN,
  NONE,
  REACTOR_RING_BYTES,
} from '../../src/record/layout.ts';
import { respondBytes } from '../../src/record/write.ts';
import { noteInto, standLane } from '../support/lanes.ts';
import { sampleCompletion, sampleHead } from '../support/records.ts';
import { sampleSnapshot, trusting } from '../support/snapshots.ts';

t.test('a head is forwarded on the terms of its route', async (t) => {
  const snapshot = sampleSnapshot({
    upstreams: [{}, { backends: [{}] }],
    routes: [
      {},
      {
        match: { path: '/api' },
        targets: [{ upstream: 1 }],
        connectTimeoutMs: 1,
        placeTimeoutMs: 6,
        headTimeoutMs: 2,
        idleTimeoutMs: 3,
        exchangeTimeoutMs: 4,
        maxBodyBytes: 2 ** 40,
        isRequestIdKept: true,
      },
    ],
  });
  const decisions = standLane(snapshot).ask({ index: 5, generation: 6, path: '/api/x?y' }, { path: '/' });
  t.match(decisions, [
    {
      kind: 'forward',
      index: 5,
      generation: 6,
      slot: 2,
      flags: FORWARD_TELL_FAILURES | FORWARD_KEEP_REQUEST_ID,
      connectTimeoutMs: 1,
      placeTimeoutMs: 6,
      headTimeoutMs: 2,
      idleTimeoutMs: 3,
      exchangeTimeoutMs: 4,
      maxBodyBytes: 2 ** 40,
    },
    { kind: 'forward', slot: 0, flags: FORWARD_TELL_FAILURES, connectTimeoutMs: 3_000, exchangeTimeoutMs: 0, maxBodyBytes: -1 },
  ]);
});

t.test('of a client that a trusted proxy names the reactor is told, of others it knows', async (t) => {
  const snapshot = sampleSnapshot({ listeners: [{ trustedNetworks: trusting(['127.0.0.1']) }] });
  const named = { fields: [['x-forwarded-for', '192.0.2.1']] as [string, string][] };
  const decisions = standLane(snapshot).ask(named, { ...named, address: [192, 0, 2, 9] });
  t.match(decisions, [
    { kind: 'forward', clientLow: 0xc000_0201, clientHigh: 0xffff },
    { kind: 'forward', clientLow: 0, clientHigh: 0 },
  ]);
});

t.test('a request no route matches is answered 404 with code and request id', async (t) => {
  const [decision] = standLane(sampleSnapshot({ routes: [{ match: { path: '/a' } }] })).ask({ path: '/b', requestId: 'r1' });
  t.match(decision, {
    kind: 'respond',
    status: 404,
    reason: reasonNumber('route_not_found'),
    fields: [
      ['content-type', 'application/json'],
      ['cache-control', 'no-store'],
    ],
    body: '{"error":"route_not_found","status":404,"request_id":"r1"}\n',
  });
});

t.test('an upstream nobody can be picked from is answered 503', async (t) => {
  const stand = standLane(sampleSnapshot());
  stand.lane.setAddresses(0, 0);
  stand.lane.setAddresses(1, 0);
  t.match(stand.ask({}), [{ kind: 'respond', status: 503, reason: reasonNumber('backend_not_available') }]);
});

t.test('a body that announces itself as too large is refused before anything is opened', async (t) => {
  const flags = HEAD_HAS_BODY | HEAD_LENGTH_KNOWN;
  const stand = standLane(sampleSnapshot({ routes: [{ maxBodyBytes: 10 }] }));
  t.match(stand.ask({ flags, contentLength: 11 }, { flags, contentLength: 10 }, { flags: HEAD_HAS_BODY }), [
    { kind: 'respond', status: 413, reason: reasonNumber('request_body_too_large') },
    { kind: 'forward' },
    { kind: 'forward' },
  ]);
  t.equal(stand.noted.attempts.length, 2);
});

t.test('every reason has an answer that says its code and nothing else, and fits the room kept for it', async (t) => {
  for (const { number, code, status } of REASONS) {
    const answer = answerFor(number, '\u00ff"'.repeat(200), false);
    t.equal(answer.status, status === 0 || status === 499 ? 500 : status, code);
    t.strictSame(Object.keys(JSON.parse(answer.body)), ['error', 'status', 'request_id']);
    t.equal(
      JSON.parse(answer.body).error,
      code.startsWith('tls_') ? 'tls_failed' : code,
      'what is wrong with a backend is none of its business',
    );
    t.ok(respondBytes(answer) <= MAX_ANSWER_BYTES);
    t.notMatch(answer.body, /[^\n\x20-\x7e]/, 'ASCII, so Latin-1 and UTF-8 agree');
  }
});

t.test('a rule that throws ends its own exchange and no other, and is counted', async (t) => {
  const mistake = new Error('rule broke');
  const rule: Rule = (head) => {
    if (head.path() === '/throw') throw mistake;
    return 0;
  };
  const stand = standLane(sampleSnapshot(), { rules: [rule] });
  t.match(stand.ask({ path: '/' }, { path: '/throw', requestId: 'r2' }, { path: '/' }), [
    { kind: 'forward', index: 0 },
    { kind: 'respond', index: 1, status: 500, reason: reasonNumber('lane_failed'), body: /"lane_failed".*"r2"/ },
    { kind: 'forward', index: 2 },
  ]);
  t.strictSame(stand.noted.errors, [mistake]);
});

t.test('a rule refuses with a reason of the registry', async (t) => {
  const rule: Rule = (head) => (head.field('x-no') === undefined ? 0 : reasonNumber('overloaded'));
  const stand = standLane(sampleSnapshot(), { rules: [rule] });
  t.match(stand.ask({ fields: [['x-no', '1']] }, {}), [{ kind: 'respond', status: 503 }, { kind: 'forward' }]);
});

t.test('an observer that throws does not stop the lane', async (t) => {
  const stand = standLane(sampleSnapshot());
  const observer = noteInto(stand.noted);
  observer.completed = () => {
    throw new Error('counter broke');
  };
  stand.lane.apply(sampleSnapshot(), createSharedState(sampleSnapshot()), observer);
  stand.reactor.offerCompletion(sampleCompletion());
  t.match(stand.ask({}), [{ kind: 'forward' }]);
  t.equal(stand.noted.errors.length, 1);
});

t.test('heads wait when the reactor has no room, and none is lost or decided twice', async (t) => {
  const stand = standLane(sampleSnapshot({ routes: [{ match: { path: '/only' } }] }), {}, 2 ** 32 - 4_096);
  const offered = 3_000;
  for (let index = 0; index < offered; index++) stand.reactor.offerHead(sampleHead({ index, path: index % 2 === 0 ? '/only' : '/' }));
  const decided: number[] = [];
  for (let call = 0; decided.length < offered && call < 20; call++) {
    stand.lane.decide();
    const decisions = stand.reactor.decisions();
    decided.push(...decisions.map((decision) => decision.index));
    if (call === 0) t.ok(decisions.length < offered, `${decisions.length} fit at first (${REACTOR_RING_BYTES} bytes)`);
  }
  t.strictSame(
    decided,
    Array.from({ length: offered }, (_, index) => index),
  );
  t.equal(stand.reactor.waiting, 0);
});

t.test('a completion becomes a load sample and is shown to the observer with route and backend', async (t) => {
  const stand = standLane(sampleSnapshot({ routes: [{ match: { path: '/a' } }, { match: { path: '/b' } }] }));
  const [forward] = stand.ask({ path: '/b' });
  if (forward?.kind !== 'forward') throw new Error('not forwarded');
  stand.reactor.offerCompletion(sampleCompletion({ tag: forward.tag, slot: forward.slot, awaitUs: 640 }));
  stand.reactor.offerCompletion(sampleCompletion({ tag: NONE, slot: NONE, status: 400, backendStatus: 0 }));
  stand.lane.decide();
  t.equal(new Float64Array(stand.backendTable)[LATENCY_EWMA_F64], 640);
  t.strictSame(stand.noted.completions, [
    { status: 200, route: 1, slot: 0, tenant: -1 },
    { status: 400, route: -1, slot: -1, tenant: -1 },
  ]);
});

t.test('a client that leaves before the answer is no sample', async (t) => {
  const stand = standLane(sampleSnapshot());
  stand.reactor.offerCompletion(
    sampleCompletion({ tag: 0, slot: 0, status: 0, backendStatus: 0, reason: 6, flags: COMPLETED_BY_CLIENT, awaitUs: 0 }),
  );
  stand.lane.decide();
  t.equal(new Float64Array(stand.backendTable)[LATENCY_EWMA_F64], 0);
});

t.test('a failure in the middle of a response counts against its backend', async (t) => {
  const stand = standLane(sampleSnapshot());
  stand.reactor.offerCompletion(
    sampleCompletion({ tag: 0, slot: 1, reason: reasonNumber('backend_reset'), flags: COMPLETED_COMMITTED | COMPLETED_BY_BACKEND }),
  );
  stand.lane.decide();
  t.strictSame(stand.noted.failures, [{ slot: 1, reason: reasonNumber('backend_reset') }]);
});

t.test('exchanges end under the snapshot they began with', async (t) => {
  const stand = standLane(sampleSnapshot({ routes: [{ match: { path: '/old' } }, { match: { path: '/both' } }] }));
  const [before] = stand.ask({ path: '/both' });
  const later = { ...stand.noted, completions: [] as typeof stand.noted.completions };
  const next = sampleSnapshot({ routes: [{ match: { path: '/both' } }] });
  stand.lane.apply(next, createSharedState(next), noteInto(later));
  const [after] = stand.ask({ path: '/both' });
  if (before?.kind !== 'forward' || after?.kind !== 'forward') throw new Error('not forwarded');
  stand.reactor.offerCompletion(sampleCompletion({ tag: before.tag, slot: before.slot }));
  stand.reactor.offerCompletion(sampleCompletion({ tag: after.tag, slot: after.slot }));
  stand.lane.decide();
  t.match(stand.noted.completions, [{ route: 1 }]);
  t.match(later.completions, [{ route: 0 }]);
});

t.test('a lane that is closed counts the exchanges that have ended', async (t) => {
  const stand = standLane(sampleSnapshot());
  const [decision] = stand.ask({ path: '/' });
  if (decision?.kind !== 'forward') throw new Error('not forwarded');
  stand.reactor.offerCompletion(sampleCompletion({ tag: decision.tag, slot: decision.slot }));
  stand.lane.close();
  t.equal(stand.noted.completions.length, 1);
  stand.lane.close();
  t.equal(stand.noted.completions.length, 1);
});

t.test('a closed lane leaves the heads to its successor', async (t) => {
  const stand = standLane(sampleSnapshot());
  stand.lane.close();
  t.strictSame(stand.ask({}), []);
  t.ok(stand.reactor.waiting > 0);
});
