/**
 * A breaker around promises: when it opens, what it lets through, what it tells, and that threads
 * can share it.
 */

import fc from 'fast-check';
import t from 'tap';
import {
  BreakerOpenError,
  type BreakerOptions,
  BulkheadFullError,
  createBreaker,
  createBreakers,
  createManualClock,
  DeadlineError,
  judgeStatus,
  type ResilienceEvent,
} from '../../src/resilience/index.ts';

const broken = new Error('broken');
const fails = () => Promise.reject(broken);

function stand(options: BreakerOptions = {}) {
  const clock = createManualClock();
  const events: ResilienceEvent[] = [];
  const breaker = createBreaker({ name: 'db', clock, onEvent: (event) => events.push(event), ...options });
  const told = () => events.splice(0).map(({ event }) => event);
  const failTimes = async (times: number) => {
    for (let i = 0; i < times; i++) await breaker.run(fails).catch(() => {});
  };
  return { clock, events, breaker, told, failTimes };
}

t.test('what the work gives or throws comes through unchanged', async (t) => {
  const { breaker } = stand();
  t.equal(await breaker.run(() => 1), 1);
  t.equal(await breaker.run(async () => 'two'), 'two');
  await t.rejects(breaker.run(fails), broken);
  await t.rejects(
    breaker.run(() => {
      throw broken;
    }),
    broken,
    'also what is thrown at once',
  );
});

t.test('failures in a row open it, and a success in between begins the row again', async (t) => {
  const { breaker, failTimes, told } = stand({ consecutive: 3 });
  await failTimes(2);
  await breaker.run(() => 'fine');
  await failTimes(2);
  t.equal(breaker.state, 'closed');
  t.same(told(), []);
  await failTimes(1);
  t.equal(breaker.state, 'open');
  t.same(told(), ['breaker_opened']);
});

t.test('while it is open nothing is called, and the error says when to come again', async (t) => {
  const { breaker, failTimes, clock, events, told } = stand({ consecutive: 1, ejectMs: 5_000 });
  await failTimes(1);
  t.match(events, [{ event: 'breaker_opened', name: 'db', atMs: clock.now(), error: broken }]);
  told();
  clock.advance(1_500);
  const refusal = await breaker.run(() => t.fail('called')).catch((error: unknown) => error);
  t.ok(refusal instanceof BreakerOpenError);
  t.match(refusal, { code: 'circuit_open', status: 503, retryAfterMs: 3_500, headers: { 'retry-after': '4' }, context: { breaker: 'db' } });
  t.notOk(breaker.allows());
  t.same(told(), ['circuit_open']);
});

t.test('after its time probes go through one by one, and enough that succeed close it', async (t) => {
  const { breaker, failTimes, clock, told } = stand({ consecutive: 1, ejectMs: 1_000, probes: 1, successes: 2 });
  await failTimes(1);
  clock.advance(1_000);
  t.equal(breaker.state, 'half-open');
  const probe = breaker.attempt();
  t.notOk(breaker.allows(), 'the place for a probe is taken');
  t.match(breaker.view(), { state: 'half-open', probesInFlight: 1 });
  t.throws(() => breaker.attempt(), new BreakerOpenError('db', 1_000), 'nobody knows when it will be back');
  probe.succeeded();
  await breaker.run(() => 'fine');
  t.equal(breaker.state, 'closed');
  t.same(told(), ['breaker_opened', 'breaker_half_opened', 'circuit_open', 'breaker_closed']);
});

t.test('a probe that fails opens it for twice as long', async (t) => {
  const { breaker, failTimes, clock } = stand({ consecutive: 1, ejectMs: 1_000, maxEjectMs: 3_000 });
  const lengths: number[] = [];
  for (let i = 0; i < 4; i++) {
    await failTimes(1);
    lengths.push(breaker.retryAfterMs);
    clock.advance(breaker.retryAfterMs);
  }
  t.same(lengths, [1_000, 2_000, 3_000, 3_000]);
  t.match(breaker.view(), { ejections: 4, ejectionsInRow: 4 });
});

t.test('a share of failures opens it once there are enough calls in the window', async (t) => {
  const { breaker, failTimes, clock } = stand({ consecutive: 0, rate: 0.5, minRequests: 10, windowMs: 10_000 });
  await failTimes(9);
  t.equal(breaker.state, 'closed', 'nine calls say too little');
  clock.advance(11_000);
  for (let i = 0; i < 6; i++) await breaker.run(() => 'fine');
  await failTimes(5);
  t.match(breaker.view(), { state: 'closed', windowOutcomes: 11, windowFailures: 5 });
  await failTimes(1);
  t.equal(breaker.state, 'open');
});

t.test('an outcome is said once, and an abandoned one says nothing', async (t) => {
  const { breaker } = stand({ consecutive: 2 });
  const attempt = breaker.attempt();
  attempt.failed(broken);
  attempt.failed(broken);
  t.equal(breaker.state, 'closed');
  breaker.attempt().abandoned();
  t.equal(breaker.view().consecutiveFailures, 1);
});

t.test('a failure is known by its own reason', async (t) => {
  const { breaker } = stand({ judgeResult: judgeStatus });
  t.equal(breaker.view().lastFailureReason, '');
  await t.rejects(breaker.run(fails));
  t.equal(breaker.view().lastFailureReason, 'backend_reset');
  await t.rejects(breaker.run(() => Promise.reject(new DeadlineError(10))));
  t.equal(breaker.view().lastFailureReason, 'exchange_timeout');
  await breaker.run(() => ({ status: 503 }));
  t.match(breaker.view(), { lastFailureReason: 'response_status', consecutiveFailures: 3 });
});

t.test('aborts by the caller and refusals of other parts are not the fault of the resource; time that ran out is', async (t) => {
  const { breaker } = stand({ consecutive: 1 });
  for (const error of [new DOMException('left', 'AbortError'), new BulkheadFullError('pool', 0), new BreakerOpenError('other', 0)]) {
    await t.rejects(breaker.run(() => Promise.reject(error)));
    t.equal(breaker.state, 'closed', error.message);
  }
  await t.rejects(breaker.run(() => Promise.reject(new DeadlineError(10))));
  t.equal(breaker.state, 'open');
});

t.test('errors and results are judged as the caller wants it', async (t) => {
  const { breaker } = stand({
    consecutive: 1,
    judgeResult: judgeStatus,
    judgeError: (error) => (error === broken ? 'succeeded' : 'failed'),
  });
  await t.rejects(breaker.run(fails), broken);
  t.equal((await breaker.run(() => ({ status: 500 }))).status, 500);
  t.equal(breaker.state, 'closed');
  t.equal((await breaker.run(() => ({ statusCode: 503 }))).statusCode, 503, 'the result is given all the same');
  t.equal(breaker.state, 'open');
});

t.test('a listener that throws breaks nobody else', async (t) => {
  const thrown = new Promise((resolve) => process.once('uncaughtException', resolve));
  const mistake = new Error('in the listener');
  const { breaker } = stand({
    consecutive: 1,
    onEvent: () => {
      throw mistake;
    },
  });
  await t.rejects(breaker.run(fails), broken);
  t.equal(breaker.state, 'open');
  t.equal(await thrown, mistake, 'and is not hidden');
});

t.test('two that share memory are one', async (t) => {
  const one = stand({ consecutive: 2 });
  const other = createBreaker({ consecutive: 2, clock: one.clock, memory: one.breaker.memory });
  await one.failTimes(1);
  await t.rejects(other.run(fails), broken);
  t.equal(one.breaker.state, 'open');
  t.throws(() => createBreaker({ memory: new SharedArrayBuffer(4) }), { code: 'config_not_valid' });
});

t.test('options out of range are named, all at once', async (t) => {
  const options = { rate: 2, probes: 0, windowMs: Number.NaN };
  t.throws(() => createBreaker(options), { code: 'config_not_valid', message: /rate .* not 2; windowMs .* not NaN; probes .* not 0/ });
});

t.test('breakers by name are made once, on common or own terms', async (t) => {
  const clock = createManualClock();
  const events: ResilienceEvent[] = [];
  const breakers = createBreakers({ clock, consecutive: 3, onEvent: (event) => events.push(event), named: { search: { consecutive: 1 } } });
  t.equal(breakers.get('users'), breakers.get('users'));
  for (const name of ['users', 'search', '__proto__', 'constructor'])
    await breakers
      .get(name)
      .run(fails)
      .catch(() => {});
  t.match(
    breakers.view().map(({ name, state }) => `${name} ${state}`),
    ['search open', 'users closed', '__proto__ closed', 'constructor closed'],
  );
  t.match(events, [{ event: 'breaker_opened', name: 'search' }]);
  t.ok(breakers.delete('search'));
  t.equal(breakers.get('search').state, 'closed', 'a new one');
});

t.test('whatever happens, it closes again once the resource works', async () => {
  const step = fc.record({ verdict: fc.constantFrom('succeeded', 'failed', 'abandoned'), afterMs: fc.nat(3_000), isKept: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const { breaker, clock } = stand({ consecutive: 2, count: 3, windowMs: 2_000, ejectMs: 500, maxEjectMs: 4_000, probes: 2 });
      for (const { verdict, afterMs, isKept } of steps) {
        if (breaker.allows()) {
          const attempt = breaker.attempt();
          if (!isKept) attempt[verdict as 'failed']();
        }
        clock.advance(afterMs);
      }
      // Outcomes that never came expire as well.
      clock.advance(20_000);
      for (let i = 0; i < 4; i++) breaker.attempt().succeeded();
      return breaker.state === 'closed' && breaker.view().probesInFlight === 0;
    }),
    { seed: 72, numRuns: 300 },
  );
});
