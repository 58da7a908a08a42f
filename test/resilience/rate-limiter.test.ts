/** A rate limit by key: bursts, refilling, what it tells clients, and bounded memory. */

import fc from 'fast-check';
import t from 'tap';
import { addressKey, createManualClock, createRateLimiter, RateLimitedError, type ResilienceEvent } from '../../src/resilience/index.ts';

t.test('as many as the burst pass at once, then as many as come back', async (t) => {
  const clock = createManualClock();
  const limiter = createRateLimiter({ requests: 10, perMs: 1_000, burst: 3, clock });
  t.same(limiter.take('a'), { isAllowed: true, remaining: 2, resetMs: 100, retryAfterMs: 0 });
  t.same(limiter.take('a'), { isAllowed: true, remaining: 1, resetMs: 200, retryAfterMs: 0 });
  t.same(limiter.take('a'), { isAllowed: true, remaining: 0, resetMs: 300, retryAfterMs: 0 });
  t.same(limiter.take('a'), { isAllowed: false, remaining: 0, resetMs: 300, retryAfterMs: 100 });
  t.ok(limiter.take('b').isAllowed, 'another key has its own bucket');
  clock.advance(99);
  t.notOk(limiter.take('a').isAllowed);
  clock.advance(1);
  t.ok(limiter.take('a').isAllowed);
});

t.test('in any time no key gets more than its burst and its rate', async () => {
  const steps = fc.array(fc.record({ key: fc.constantFrom('a', 'b'), afterMs: fc.nat(400) }), { maxLength: 200 });
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 10 }), (steps, requests, burst) => {
      const clock = createManualClock();
      const limiter = createRateLimiter({ requests, perMs: 1_000, burst, clock });
      const startMs = clock.now();
      const passed: Record<string, number> = { a: 0, b: 0 };
      for (const { key, afterMs } of steps) {
        clock.advance(afterMs);
        if (!limiter.take(key).isAllowed) continue;
        passed[key]! += 1;
        if (passed[key]! > burst + ((clock.now() - startMs) * requests) / 1_000 + 1e-6) return false;
      }
      return true;
    }),
    { seed: 72, numRuns: 200 },
  );
});

t.test('what a refused client is told is true: one that waits so long passes', async (t) => {
  const clock = createManualClock();
  const limiter = createRateLimiter({ requests: 7, perMs: 1_000, burst: 2, clock });
  for (let i = 0; i < 50; i++) {
    const { isAllowed, retryAfterMs } = limiter.take('a');
    if (!isAllowed) clock.advance(retryAfterMs);
    t.equal(isAllowed || limiter.take('a').isAllowed, true);
  }
});

t.test('fields name quota, what is left, and when there is more', async (t) => {
  const limiter = createRateLimiter({ name: 'per-client', requests: 100, perMs: 60_000, burst: 2, clock: createManualClock() });
  t.same(limiter.headers(limiter.take('a')), { 'ratelimit-policy': '"per-client";q=100;w=60', ratelimit: '"per-client";r=1;t=1' });
  limiter.take('a');
  const refusal = { 'retry-after': '1', 'ratelimit-policy': '"per-client";q=100;w=60', ratelimit: '"per-client";r=0;t=1' };
  t.same(limiter.headers(limiter.take('a')), refusal);
  try {
    limiter.check('a');
    t.fail('allowed');
  } catch (error) {
    t.ok(error instanceof RateLimitedError);
    t.match(error, { code: 'rate_limited', status: 429, retryAfterMs: 600, headers: refusal, context: { limit: 'per-client' } });
  }
});

t.test('refusals are told one by one, and when they begin and end', async (t) => {
  const clock = createManualClock();
  const events: ResilienceEvent[] = [];
  const limiter = createRateLimiter({ requests: 1, clock, onEvent: (event) => events.push(event) });
  for (let i = 0; i < 3; i++) limiter.take('a');
  clock.advance(6_000);
  limiter.take('a');
  t.same(
    events.map(({ event, key }) => `${event} ${key ?? ''}`),
    ['limit_began ', 'rate_limited a', 'rate_limited a', 'limit_ended '],
  );
  t.same(limiter.view(), { name: 'default', keysHeld: 1, refused: 2 });
});

t.test('keys are bounded: the one unused longest is forgotten', async (t) => {
  const clock = createManualClock();
  const limiter = createRateLimiter({ requests: 1, perMs: 3_600_000, maxKeys: 4, clock });
  limiter.take('old');
  for (const key of ['a', 'b', 'c', 'd']) {
    clock.advance(1);
    t.ok(limiter.take(key).isAllowed);
  }
  t.notOk(limiter.take('d').isAllowed);
  t.ok(limiter.take('old').isAllowed, 'it is as if it had never come');
  for (let i = 0; i < 10_000; i++) limiter.take(`key ${i}`);
  t.equal(limiter.view().keysHeld, 4);
});

t.test('two that share memory are one', async (t) => {
  const options = { requests: 2, clock: createManualClock() };
  const one = createRateLimiter(options);
  const other = createRateLimiter({ ...options, memory: one.memory });
  t.ok(one.take('a').isAllowed);
  t.ok(other.take('a').isAllowed);
  t.notOk(one.take('a').isAllowed);
});

t.test('options out of range are mistakes', async (t) => {
  t.throws(() => createRateLimiter({ requests: 0 }), { code: 'config_not_valid' });
  t.throws(() => createRateLimiter({} as never), { code: 'config_not_valid', message: /requests must be a number/ });
});

t.test('addresses are keys by their network', async (t) => {
  t.equal(addressKey('192.0.2.1'), addressKey('::ffff:192.0.2.1'), 'one client, whichever socket he came by');
  t.not(addressKey('192.0.2.1'), addressKey('192.0.2.2'));
  t.equal(addressKey('2001:db8::1'), addressKey('2001:db8:0:0:ffff::2'), 'a /64 is one client');
  t.not(addressKey('2001:db8::1'), addressKey('2001:db8:0:1::1'));
  t.equal(addressKey('fe80::1%eth0'), addressKey('fe80::1'));
  t.equal(addressKey('192.0.2.1', { prefix4: 24 }), addressKey('192.0.2.200', { prefix4: 24 }));
  t.equal(addressKey('2001:db8::1', { prefix6: 128 }), '6:20010db8000000000000000000000001');
  t.equal(addressKey('no address'), 'no address');
});
