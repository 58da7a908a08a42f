/** Other attempts: how many, after which pauses, from which budget, and when there is none. */

import t from 'tap';
import {
  BreakerOpenError,
  createManualClock,
  createRetryBudget,
  type ManualClock,
  type ResilienceEvent,
  type RetryOptions,
  retry,
} from '../../src/resilience/index.ts';

/** Fails `failures` times, then gives the number of its attempt. */
function flaky(failures: number) {
  const errors: Error[] = [];
  const work = async ({ number }: { readonly number: number }) => {
    if (number > failures) return number;
    errors.push(new Error(`attempt ${number}`));
    throw errors.at(-1);
  };
  return { work, errors };
}

/** Lets pauses pass until the promise is settled. */
async function played<Result>(clock: ManualClock, promise: Promise<Result>): Promise<Result> {
  let isSettled = false;
  const settled = () => {
    isSettled = true;
  };
  promise.then(settled, settled);
  while (!isSettled) {
    await new Promise(setImmediate);
    if (clock.pending > 0) clock.advance(60_000);
  }
  return promise;
}

function stand(options: RetryOptions = {}) {
  const clock = createManualClock();
  const events: ResilienceEvent[] = [];
  const all: RetryOptions = { clock, name: 'users', random: () => 0.5, onEvent: (event) => events.push(event), ...options };
  return { clock, events, all };
}

t.test('what fails is tried again, after pauses that double and end at the maximum', async (t) => {
  const { clock, events, all } = stand({ attempts: 5, backoffMs: 100, maxBackoffMs: 500 });
  t.equal(await played(clock, retry(flaky(5).work, all)), 6);
  t.same(
    events.map(({ event, waitMs }) => [event, waitMs]),
    [
      ['retried', 50],
      ['retried', 100],
      ['retried', 200],
      ['retried', 250],
      ['retried', 250],
    ],
  );
});

t.test('when attempts are used up the last error is thrown as it is', async (t) => {
  const { clock, events, all } = stand({ attempts: 2 });
  const { work, errors } = flaky(9);
  await t.rejects(played(clock, retry(work, all)), { message: 'attempt 3' });
  t.equal(errors.length, 3);
  t.match(events.at(-1), { event: 'retry_denied_attempts', name: 'users', error: errors[2] });
});

t.test('without a pause it is tried again at once', async (t) => {
  const { all } = stand({ attempts: 3, backoffMs: 0 });
  t.equal(await retry(flaky(3).work, all), 4);
});

t.test('only what may be tried again is', async (t) => {
  const { events, all } = stand({ attempts: 3, backoffMs: 0 });
  const tries = async (error: Error, options: RetryOptions = {}) => {
    let calls = 0;
    const work = () => {
      calls += 1;
      throw error;
    };
    await t.rejects(retry(work, { ...all, ...options }), error);
    return calls;
  };
  t.equal(await tries(new Error('anything')), 4);
  t.equal(await tries(new BreakerOpenError('users', 0)), 1, 'a refusal would be one again');
  t.equal(events.at(-1)?.event, 'retry_denied_unsafe');
  t.equal(await tries(new DOMException('left', 'AbortError')), 1);
  t.equal(await tries(new Error('no such user'), { isRetryable: ({ message }: Error) => message !== 'no such user' } as RetryOptions), 1);
});

t.test('retries are a share of the calls, plus a floor a second', async (t) => {
  const clock = createManualClock();
  const budget = createRetryBudget({ ratio: 0.2, minPerSecond: 1, windowMs: 10_000, clock });
  const { events, all } = stand({ attempts: 1, backoffMs: 0, budget, clock });
  const fail = () => retry(flaky(9).work, all).catch(() => {});
  for (let i = 0; i < 100; i++) await fail();
  const count = (code: string) => events.filter(({ event }) => event === code).length;
  t.equal(count('retried'), 30, '20 % of up to 100 calls, and 1 a second for 10 s');
  t.equal(count('retry_denied_budget'), 70);
  clock.advance(11_000);
  await fail();
  t.equal(count('retried'), 31, 'a new window has its own');

  const other = createRetryBudget({ ratio: 0, minPerSecond: 1, windowMs: 10_000, clock, memory: budget.memory });
  for (let i = 0; i < 8; i++) t.ok(budget.take());
  t.ok(other.take());
  t.notOk(other.take(), 'two that share memory are one');
});

t.test('a signal ends the pause with its reason, and leaves nothing behind', async (t) => {
  const { clock, all } = stand({ attempts: 3, backoffMs: 100 });
  const controller = new AbortController();
  const left = new Error('left');
  const running = retry(flaky(9).work, { ...all, signal: controller.signal });
  await new Promise(setImmediate);
  t.equal(clock.pending, 1);
  controller.abort(left);
  await t.rejects(running, left);
  t.equal(clock.pending, 0);
  await t.rejects(
    retry(() => t.fail('called'), { signal: controller.signal }),
    left,
    'one that aborted before: nothing is called',
  );
});

t.test('work is told its attempt and the signal, and is not tried again once that aborted', async (t) => {
  const { all } = stand({ attempts: 3, backoffMs: 0 });
  const controller = new AbortController();
  const seen: unknown[] = [];
  const running = retry(
    (attempt) => {
      seen.push(attempt);
      if (attempt.number === 2) controller.abort(new Error('left'));
      throw new Error('broken');
    },
    { ...all, signal: controller.signal },
  );
  await t.rejects(running, { message: 'broken' });
  t.strictSame(seen, [
    { number: 1, signal: controller.signal },
    { number: 2, signal: controller.signal },
  ]);
});

t.test('options out of range are mistakes', async (t) => {
  await t.rejects(
    retry(() => 1, { attempts: -1 }),
    { code: 'config_not_valid' },
  );
  t.throws(() => createRetryBudget({ ratio: 7 }), { code: 'config_not_valid' });
});
