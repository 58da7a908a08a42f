import t, { type Test } from 'tap';
import { NOTES } from '../../src/base/notes.ts';
import type { HealthSnapshot } from '../../src/config/snapshot/standing.ts';
import { createHealth, type Health } from '../../src/control/health/health.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { sampleSnapshot } from '../support/snapshots.ts';
import { until, within } from '../support/wait.ts';

const HEALTH: HealthSnapshot = {
  protocol: 'h2',
  method: 'GET',
  path: '/healthz',
  host: '',
  port: 0,
  intervalMs: 20,
  failingIntervalMs: 5,
  jitter: 0.1,
  timeoutMs: 2_000,
  healthyAfter: 2,
  unhealthyAfter: 3,
  statuses: [200, 204],
  body: '',
};

/** Health of backends at these ports, and everything it says. */
function stand(t: Test, ports: readonly number[], given: Partial<HealthSnapshot> = {}) {
  const published: string[] = [];
  const events: { code: string; slot: number; text?: string }[] = [];
  const expected: [slot: number, upAtMs: number][] = [];
  const snapshot = sampleSnapshot({
    upstreams: [{ backends: ports.map((port) => ({ host: '127.0.0.1', port })), health: { ...HEALTH, ...given } }],
  });
  const health: Health = createHealth({
    addon: { askH3: () => Promise.reject(new Error('nobody asks over HTTP/3 here')), cancelH3() {} },
    snapshot,
    addressOf: () => '127.0.0.1',
    publish: (slot, state) => void published.push(`${slot} ${state}`),
    expect: (slot, upAtMs) => expected.push([slot, upAtMs]),
    onEvent: ({ note, slot, text }) => void events.push({ code: NOTES[note]!.code, slot, ...(text === undefined ? {} : { text }) }),
  });
  t.teardown(() => health.stop());
  return { health, published, events, expected };
}

t.test('a backend goes down after failures in a row, and up again after successes', async (t) => {
  let status = 204;
  const origin = await startH2Origin(t, (stream) => {
    stream.respond({ ':status': status }, { endStream: true });
  });
  const { health, published, events, expected } = stand(t, [origin.port]);
  health.start();
  await until('up', () => health.status(0)?.state === 'up');
  status = 500;
  await until('down', () => health.status(0)?.state === 'down');
  t.match(health.status(0), { failure: 'status 500' });
  const [slot, upAtMs] = await until('it is said when it may be back', () => expected[0]);
  t.ok(slot === 0 && upAtMs > health.status(0)!.sinceMs, 'on the clock of all shards');
  status = 200;
  await until('up again', () => health.status(0)?.state === 'up');
  t.strictSame(published, ['0 up', '0 down', '0 up']);
  t.strictSame(events, [
    { code: 'health_down', slot: 0, text: 'status 500' },
    { code: 'health_up', slot: 0 },
  ]);
});

t.test('a backend that is not there is down with the first check, and one that answers late as well', async (t) => {
  const slow = await startH2Origin(t, () => {});
  const gone = await startH2Origin(t, () => {});
  await gone.stop();
  const { health, events } = stand(t, [slow.port, gone.port], { timeoutMs: 60 });
  health.start();
  await until('both down', () => health.status(0)?.state === 'down' && health.status(1)?.state === 'down');
  t.strictSame(
    events.toSorted((a, b) => a.slot - b.slot).map(({ text }) => text?.replace(/:\d+$/, '')),
    ['no answer within 60 ms', 'connect ECONNREFUSED 127.0.0.1'],
  );
});

t.test('the body must hold the expected text within its first 64 KiB', async (t) => {
  let body = `${'x'.repeat(65_536)}healthy`;
  const origin = await startH2Origin(t, (stream) => {
    stream.on('error', () => {});
    stream.respond({ ':status': 200 });
    stream.end(body);
  });
  const { health } = stand(t, [origin.port], { body: 'healthy' });
  health.start();
  await until('down', () => health.status(0)?.state === 'down');
  t.equal(health.status(0)?.failure, 'the body lacks the expected text');
  body = 'I am healthy.';
  await until('up', () => health.status(0)?.state === 'up');
});

t.test('another port may be asked than traffic uses', async (t) => {
  const origin = await startH2Origin(t, (stream) => stream.respond({ ':status': 200 }, { endStream: true }));
  const { health } = stand(t, [1], { port: origin.port });
  health.start();
  await until('up', () => health.status(0)?.state === 'up');
});

t.test('a check under way when the edge stops ends with it', async (t) => {
  const origin = await startH2Origin(t, () => {});
  const { health, published } = stand(t, [origin.port], { timeoutMs: 60_000 });
  health.start();
  await until('the check is under way', () => origin.requests === 1);
  await within(2_000, 'health stops', health.stop());
  t.strictSame(published, []);
  await until('its connection is closed', () => origin.sessions.size === 0);
});

t.test('a thousand backends are asked one after the other, not all at once', async (t) => {
  const origin = await startH2Origin(t, (stream) => stream.respond({ ':status': 200 }, { endStream: true }));
  const { health, published } = stand(t, new Array(1_000).fill(origin.port), { intervalMs: 60_000 });
  health.start();
  await until('all were asked', () => published.length === 1_000, 30_000);
  t.ok(origin.peak < 300, `${origin.peak} at once`);
});
