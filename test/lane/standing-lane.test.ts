import t from 'tap';
import { reasonByNumber, reasonNumber } from '../../src/base/errors.ts';
import { IS_PROBE } from '../../src/lane/memo.ts';
import { setHealth, setUpAgain } from '../../src/lane/standing/health.ts';
import { viewStanding } from '../../src/lane/standing/view.ts';
import { COMPLETED_BY_BACKEND, COMPLETED_COMMITTED } from '../../src/record/layout.ts';
import { type LaneStand, standLane } from '../support/lanes.ts';
import { sampleAttemptFailed, sampleCompletion } from '../support/records.ts';
import { sampleSnapshot, type UpstreamWish } from '../support/snapshots.ts';

const BREAKER = { consecutive: 2, ejectMs: 1_000, probes: 1, successes: 1 };

function stand(wish: UpstreamWish = {}) {
  const snapshot = sampleSnapshot({ upstreams: [{ panicBelow: 0, breaker: BREAKER, ...wish }] });
  const lane = standLane(snapshot);
  return { ...lane, view: () => viewStanding(lane.shared.standing, snapshot, lane.clock.nowMs) };
}

/** Slots to which the next heads go; the last one's decision. */
function slots(stand: Pick<LaneStand, 'ask'>, count: number): number[] {
  return stand.ask(...Array.from({ length: count }, () => ({}))).map((decision) => (decision.kind === 'forward' ? decision.slot : -1));
}

/** Sends one head and has its answer, or its failure, come back from the backend it went to. */
function exchange(stand: LaneStand, outcome: 'answered' | 'reset' | 'left', status = 200): { slot: number; isProbe: boolean } {
  const [forward] = stand.ask({});
  if (forward?.kind !== 'forward') throw new Error('not forwarded');
  const { tag, slot } = forward;
  const [memo0, memo1, memo2] = forward.memo;
  const common = { tag, slot, memo0, memo1, memo2 };
  if (outcome === 'reset') stand.reactor.offerAttemptFailed(sampleAttemptFailed({ ...common, reason: reasonNumber('backend_reset') }));
  else stand.reactor.offerCompletion(sampleCompletion({ ...common, backendStatus: outcome === 'left' ? 0 : status }));
  stand.lane.decide();
  stand.reactor.decisions();
  return { slot, isProbe: (memo0 & IS_PROBE) !== 0 };
}

/** The answer to the next head, which no backend gets. */
function refusalOf(stand: Pick<LaneStand, 'ask'>) {
  const [answer] = stand.ask({});
  if (answer?.kind !== 'respond') throw new Error('not refused');
  const { status, reason, fields } = answer;
  return { status, reason: reasonByNumber(reason).code, retryAfter: new Map(fields).get('retry-after') };
}

t.test('a backend whose breaker is open gets nothing, then one probe, then its share', async (t) => {
  const it = stand();
  const seen = Array.from({ length: 4 }, () => exchange(it, 'reset'));
  t.equal(seen.filter(({ slot }) => slot === 0).length, 2);
  t.strictSame(
    it.noted.notes.filter(({ note }) => note === 'breaker_opened' || note === 'eject_denied').map(({ note, slot }) => `${note} ${slot}`),
    ['breaker_opened 0', 'eject_denied 1'],
  );
  t.strictSame(slots(it, 6), [1, 1, 1, 1, 1, 1]);
  it.clock.nowMs += 1_000;
  const tried = slots(it, 6);
  t.equal(tried.filter((slot) => slot === 0).length, 1, 'one probe at a time');
  t.equal(it.view().backends[0]?.probesInFlight, 1);
});

t.test('the outcome of a probe is known by its memo: success closes, failure opens, a client that leaves says nothing', async (t) => {
  const it = stand({ maxEjected: 1, backends: [{}] });
  const until = () => {
    it.clock.nowMs += 4_000;
  };
  exchange(it, 'reset');
  exchange(it, 'reset');
  until();
  t.strictSame(exchange(it, 'left'), { slot: 0, isProbe: true });
  t.match(it.view().backends[0], { state: 'half-open', probesInFlight: 0 });
  t.strictSame(exchange(it, 'reset'), { slot: 0, isProbe: true });
  t.match(it.view().backends[0], { state: 'open', ejectionsInRow: 2 });
  until();
  t.strictSame(exchange(it, 'answered', 503), { slot: 0, isProbe: true });
  t.match(it.view().backends[0], { state: 'open', ejectionsInRow: 3 });
  until();
  t.strictSame(exchange(it, 'answered'), { slot: 0, isProbe: true });
  t.equal(it.view().backends[0]?.state, 'closed');
  t.strictSame(exchange(it, 'answered'), { slot: 0, isProbe: false });
});

t.test('an upstream of which every backend is ejected refuses with circuit_open', async (t) => {
  const it = stand({ backends: [{}] });
  exchange(it, 'reset');
  exchange(it, 'reset');
  t.match(refusalOf(it), { reason: 'circuit_open', retryAfter: '1' });
});

t.test('the refusal says when the first backend may be back', async (t) => {
  const it = stand({ backends: [{}], breaker: { ...BREAKER, ejectMs: 2_500 } });
  exchange(it, 'reset');
  exchange(it, 'reset');
  t.match(refusalOf(it), { reason: 'circuit_open', retryAfter: '3' });
  it.clock.nowMs += 1_000;
  t.match(refusalOf(it), { reason: 'circuit_open', retryAfter: '2' });
  it.clock.nowMs += 1_500;
  t.strictSame(slots(it, 1), [0], 'the probe');
  t.match(refusalOf(it), { reason: 'circuit_open', retryAfter: '1' }, 'who comes while the probe is out');
});

t.test('an upstream of which every backend is down by health checks says so, and when a check may find one up', async (t) => {
  const it = stand({ maxEjected: 1 });
  for (const slot of [0, 1]) setHealth(it.shared.standing, slot, 'down', it.clock.nowMs);
  t.match(refusalOf(it), { status: 503, reason: 'backends_unhealthy', retryAfter: undefined }, 'nobody knows when');
  setUpAgain(it.shared.standing, 0, it.clock.nowMs + 9_100);
  t.match(refusalOf(it), { reason: 'backends_unhealthy', retryAfter: '10' });
  setUpAgain(it.shared.standing, 1, it.clock.nowMs + 4_000);
  t.match(refusalOf(it), { reason: 'backends_unhealthy', retryAfter: '4' }, 'the first of them');
  it.clock.nowMs += 5_000;
  t.match(refusalOf(it), { reason: 'backends_unhealthy', retryAfter: '1' }, 'a check that is under way');
  const [grpc] = it.ask({ method: 'POST', fields: [['content-type', 'application/grpc']] });
  t.match(grpc, { status: 200, reason: reasonNumber('backends_unhealthy') });
  if (grpc?.kind !== 'respond') throw new Error('not answered');
  t.match(Object.fromEntries(grpc.fields), { 'grpc-status': '14', 'grpc-message': 'backends_unhealthy', 'retry-after': '1' });

  setHealth(it.shared.standing, 1, 'up', it.clock.nowMs);
  exchange(it, 'reset');
  exchange(it, 'reset');
  t.match(refusalOf(it), { reason: 'circuit_open', retryAfter: '1' }, 'where one is ejected and the other down');
});

t.test('a backend found down by active health is passed over, and in panic all are used', async (t) => {
  const it = stand({ panicBelow: 0.5, backends: [{}, {}, {}] });
  setHealth(it.shared.standing, 1, 'down', it.clock.nowMs);
  t.strictSame(slots(it, 6).toSorted(), [0, 0, 0, 2, 2, 2]);
  setHealth(it.shared.standing, 2, 'down', it.clock.nowMs);
  it.clock.nowMs += 100;
  t.strictSame(slots(it, 6).toSorted(), [0, 0, 1, 1, 2, 2]);
  t.match(it.noted.notes.at(-1), { note: 'panic_began', upstream: 0, slot: -1, detail: 33 });
});

t.test('a response cut short counts against its backend', async (t) => {
  const it = stand({ backends: [{}] });
  for (let i = 0; i < 2; i++) {
    it.reactor.offerCompletion(
      sampleCompletion({
        tag: 0,
        memo0: 0,
        slot: 0,
        reason: reasonNumber('backend_reset'),
        flags: COMPLETED_COMMITTED | COMPLETED_BY_BACKEND,
      }),
    );
  }
  it.lane.decide();
  t.equal(it.view().backends[0]?.state, 'open');
});

t.test('Retry-After of an answer holds its backend off', async (t) => {
  const it = stand();
  it.reactor.offerCompletion(sampleCompletion({ tag: 0, memo0: 0, slot: 0, status: 503, backendStatus: 503, retryAfterS: 5 }));
  t.strictSame(slots(it, 2), [1, 1]);
  it.clock.nowMs += 5_000;
  t.strictSame(slots(it, 2).toSorted(), [0, 1]);
});

t.test('a balancer that goes by latency sends the probes of a half-open breaker soon', async (t) => {
  const it = stand({ balance: { policy: 'peak-ewma', decayMs: 60_000 } });
  for (let i = 0; i < 20; i++) exchange(it, 'answered');
  const ill = exchange(it, 'reset').slot;
  while (it.view().backends[ill]?.state !== 'open') {
    const [forward] = it.ask({});
    if (forward?.kind !== 'forward') throw new Error('not forwarded');
    const { tag, slot } = forward;
    const [memo0] = forward.memo;
    if (slot === ill) it.reactor.offerAttemptFailed(sampleAttemptFailed({ tag, slot, memo0, reason: reasonNumber('backend_reset') }));
    else it.reactor.offerCompletion(sampleCompletion({ tag, slot, memo0, awaitUs: 2_000 }));
    it.clock.nowMs += 10_000;
    it.lane.decide();
    it.reactor.decisions();
  }
  it.clock.nowMs += 1_000;
  t.ok(slots(it, 3).includes(ill));
});
