/** Places and the queue before them: bounds, order, times, and that nothing leaks. */

import fc from 'fast-check';
import t from 'tap';
import {
  BulkheadFullError,
  type BulkheadOptions,
  createBulkhead,
  createManualClock,
  QueueTimeoutError,
  type Release,
  type ResilienceEvent,
} from '../../src/resilience/index.ts';

function stand(options: Partial<BulkheadOptions> = {}) {
  const clock = createManualClock();
  const events: ResilienceEvent[] = [];
  const bulkhead = createBulkhead({ name: 'pool', max: 1, clock, onEvent: (event) => events.push(event), ...options });
  return { bulkhead, clock, told: () => events.splice(0).map(({ event }) => event) };
}

const turn = () => new Promise(setImmediate);

t.test('so many run at once, so many wait in order, the others are refused', async (t) => {
  const { bulkhead, told } = stand({ max: 2, queue: 2 });
  const begun: number[] = [];
  const ends: (() => void)[] = [];
  const call = (number: number) =>
    bulkhead.run(() => {
      begun.push(number);
      return new Promise<number>((resolve) => ends.push(() => resolve(number)));
    });
  const calls = [call(1), call(2), call(3), call(4)];
  await t.rejects(call(5), BulkheadFullError);
  t.match([bulkhead.inFlight, bulkhead.waiting], [2, 2]);
  t.same(told(), ['queued', 'queued', 'route_full']);
  for (let i = 0; i < 4; i++) {
    await turn();
    ends[i]!();
  }
  t.same(await Promise.all(calls), [1, 2, 3, 4]);
  t.same(begun, [1, 2, 3, 4]);
  t.match([bulkhead.inFlight, bulkhead.waiting], [0, 0]);
});

t.test('a place comes back when the work fails, also at once', async (t) => {
  const { bulkhead } = stand();
  await t.rejects(
    bulkhead.run(() => Promise.reject(new Error('late'))),
    { message: 'late' },
  );
  await t.rejects(
    bulkhead.run(() => {
      throw new Error('at once');
    }),
    { message: 'at once' },
  );
  t.equal(bulkhead.inFlight, 0);
});

t.test('who waits too long is refused, and told when a place can be expected', async (t) => {
  const { bulkhead, clock, told } = stand({ queue: 5, queueTimeoutMs: 200 });
  const release = bulkhead.tryAcquire()!;
  clock.advance(80_000);
  release();
  const held = bulkhead.tryAcquire()!;
  const waiting = bulkhead.run(() => t.fail('called'));
  await turn();
  clock.advance(200);
  const error = await waiting.catch((error: unknown) => error);
  t.ok(error instanceof QueueTimeoutError);
  t.match(error, { code: 'queue_timeout', status: 503, retryAfterMs: 10_000, headers: { 'retry-after': '10' } });
  t.same(told(), ['queued', 'queue_timeout']);
  held();
  t.match([bulkhead.inFlight, bulkhead.waiting, clock.pending], [0, 0, 0]);
});

t.test('who leaves the queue makes room, and his place goes to the next', async (t) => {
  const { bulkhead, clock } = stand({ queue: 2 });
  const release = bulkhead.tryAcquire()!;
  const controller = new AbortController();
  const left = new Error('left');
  const first = bulkhead.acquire(controller.signal);
  const second = bulkhead.acquire();
  controller.abort(left);
  await t.rejects(first, left);
  t.equal(bulkhead.waiting, 1);
  await t.rejects(bulkhead.acquire(controller.signal), left, 'who has left before does not join');
  release();
  (await second)();
  t.match([bulkhead.inFlight, bulkhead.waiting, clock.pending], [0, 0, 0]);
});

t.test('a place is given back once', async (t) => {
  const { bulkhead } = stand({ max: 2 });
  const [one, other] = [bulkhead.tryAcquire()!, bulkhead.tryAcquire()!];
  one();
  one();
  t.equal(bulkhead.inFlight, 1);
  other();
  t.equal(bulkhead.inFlight, 0);
});

t.test('nobody who comes later is faster than those who wait', async (t) => {
  const { bulkhead } = stand({ queue: 1 });
  const release = bulkhead.tryAcquire()!;
  const waiting = bulkhead.acquire();
  release();
  t.equal(bulkhead.tryAcquire(), undefined, 'the place is taken on behalf of the one who waits');
  (await waiting)();
});

t.test('whatever comes and goes, bounds hold and all places come back', async () => {
  const step = fc.record({ kind: fc.constantFrom('come', 'go', 'leave', 'wait'), which: fc.nat(20) });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 4 }), fc.nat(3), async (steps, max, queue) => {
      const { bulkhead, clock } = stand({ max, queue, queueTimeoutMs: 100 });
      const held: Release[] = [];
      const controllers: AbortController[] = [];
      for (const { kind, which } of steps) {
        if (kind === 'come') {
          const controller = new AbortController();
          controllers.push(controller);
          bulkhead.acquire(controller.signal).then(
            (release) => held.push(release),
            () => {},
          );
        } else if (kind === 'go') held[which % Math.max(1, held.length)]?.();
        else if (kind === 'leave') controllers[which % Math.max(1, controllers.length)]?.abort();
        else clock.advance(which * 10);
        await Promise.resolve();
        if (bulkhead.inFlight > max || bulkhead.waiting > queue || (bulkhead.waiting > 0 && bulkhead.inFlight < max)) return false;
      }
      clock.advance(1_000);
      await turn();
      for (const release of held) release();
      return bulkhead.inFlight === 0 && bulkhead.waiting === 0 && clock.pending === 0;
    }),
    { seed: 72, numRuns: 200 },
  );
});

t.test('options out of range are mistakes', async (t) => {
  t.throws(() => createBulkhead({ max: 0 }), { code: 'config_not_valid' });
  t.throws(() => createBulkhead({} as never), { code: 'config_not_valid' });
});
