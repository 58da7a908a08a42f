/** Deadlines: whose word counts, what is handed on, and how work ends. */

import { getEventListeners } from 'node:events';
import t from 'tap';
import { createManualClock, DeadlineError, deadlineOf, type ResilienceEvent } from '../../src/resilience/index.ts';

t.test('the caller can shorten what the service allows, and not lengthen it', async (t) => {
  const clock = createManualClock();
  const given = (fields: Record<string, string | string[]>, options = {}) => {
    const deadline = deadlineOf(fields, { maxMs: 5_000, header: 'X-Timeout-Ms', clock, ...options });
    deadline.clear();
    return deadline.remainingMs();
  };
  t.equal(given({}), 5_000);
  t.equal(given({ 'x-timeout-ms': '300' }), 300);
  t.equal(given({ 'grpc-timeout': '2S' }), 2_000);
  t.equal(given({ 'grpc-timeout': '1500u' }), 2, 'rounded up');
  t.equal(given({ 'grpc-timeout': '1S', 'x-timeout-ms': '300' }), 300, 'the shorter of both');
  t.equal(given({ 'x-timeout-ms': '90000', 'grpc-timeout': '1H' }), 5_000);
  t.equal(given({ 'x-timeout-ms': ['700', '100'] }), 700, 'the first line');
  t.equal(given({ 'x-timeout-ms': 'soon', 'grpc-timeout': '123456789m' }), 5_000, 'what cannot be read says nothing');
  t.equal(given({ 'grpc-timeout': '1S' }, { isGrpcObeyed: false }), 5_000);
  t.equal(given({}, { maxMs: 0 }), Number.POSITIVE_INFINITY);
  t.equal(deadlineOf(new Headers({ 'Grpc-Timeout': '3S' }), { clock }).remainingMs(), 3_000, 'fields of fetch');
  t.throws(() => deadlineOf({}, { maxMs: -1 }), { code: 'config_not_valid' });
});

t.test('its signal aborts when the time is over, and what is left is handed on until then', async (t) => {
  const clock = createManualClock();
  const events: ResilienceEvent[] = [];
  const deadline = deadlineOf({ 'x-timeout-ms': '1000' }, { header: 'x-timeout-ms', clock, onEvent: (event) => events.push(event) });
  clock.advance(400.5);
  t.same(deadline.headers(), { 'x-timeout-ms': '599', 'grpc-timeout': '599m' });
  t.notOk(deadline.isOver);
  clock.advance(600);
  t.ok(deadline.isOver);
  t.ok(deadline.signal.reason instanceof DeadlineError);
  t.match(deadline.signal.reason, { code: 'exchange_timeout', status: 504, context: { givenMs: 1_000 } });
  t.equal(deadline.remainingMs(), 0);
  t.match(events, [{ event: 'exchange_timeout' }]);
});

t.test('no time at all is over at once; without limit nothing is handed on', async (t) => {
  const clock = createManualClock();
  t.ok(deadlineOf({ 'grpc-timeout': '0m' }, { clock }).signal.aborted);
  const endless = deadlineOf({}, { clock });
  t.same(endless.headers(), {});
  t.equal(clock.pending, 0, 'and nothing waits');
  const long = deadlineOf({}, { maxMs: 86_400_000, clock });
  t.same(long.headers(), { 'grpc-timeout': '86400000m' });
  long.clear();
});

t.test('work ends with the deadline, whether it listens or not', async (t) => {
  const clock = createManualClock();
  const deadline = deadlineOf({}, { maxMs: 100, clock });
  t.equal(await deadline.run(() => 'quick'), 'quick');
  await t.rejects(
    deadline.run(() => Promise.reject(new Error('its own'))),
    { message: 'its own' },
  );
  const deaf = deadline.run(() => new Promise(() => {}));
  clock.advance(100);
  await t.rejects(deaf, DeadlineError);
  await t.rejects(
    deadline.run(() => t.fail('called')),
    DeadlineError,
  );
  t.equal(getEventListeners(deadline.signal, 'abort').length, 0);
});

t.test('a given signal ends it early; cleared, it leaves nothing behind', async (t) => {
  const clock = createManualClock();
  const controller = new AbortController();
  const options = { maxMs: 100, clock, signal: controller.signal };
  const deadline = deadlineOf({}, options);
  const cleared = deadlineOf({}, options);
  cleared.clear();
  controller.abort('left');
  t.equal(deadline.signal.reason, 'left');
  t.notOk(cleared.signal.aborted);
  t.equal(clock.pending, 0);
  t.equal(getEventListeners(controller.signal, 'abort').length, 0);
  t.equal(deadlineOf({}, options).signal.reason, 'left', 'one that aborted before');
});
