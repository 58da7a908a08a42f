import fc from 'fast-check';
import t from 'tap';
import { reasonNumber } from '../../src/base/errors.ts';
import type { LogSnapshot } from '../../src/config/snapshot/process.ts';
import { createAccessLog } from '../../src/observe/access-log.ts';
import { CounterLayout } from '../../src/observe/counters.ts';
import {
  COMPLETED_BY_CLIENT,
  COMPLETED_COMMITTED,
  COMPLETED_FROM_EDGE,
  COMPLETED_HEDGE_WON,
  COMPLETED_HEDGED,
  COMPLETED_SESSION_REUSED,
} from '../../src/record/layout.ts';
import { CompletionReader } from '../../src/record/read.ts';
import { LaneRing, RecordMemory } from '../../src/record/ring.ts';
import { ReactorSide, type SampleCompletion, sampleCompletion } from '../support/records.ts';
import { sampleSnapshot } from '../support/snapshots.ts';

function stand(log: Partial<LogSnapshot> = {}, random = () => 0.5) {
  const snapshot = sampleSnapshot({ log, routes: [{ name: 'r\u00f6ute "1"' }], tenants: [{ name: 'acme' }] });
  const table = new Float64Array(new CounterLayout(snapshot).length);
  const written: string[] = [];
  const counts: number[] = [];
  const sink = {
    batchBytes: 4_096,
    write(lines: string, count = 1) {
      written.push(lines);
      counts.push(count);
    },
    drain: async () => {},
  };
  const access = createAccessLog({ shard: 3, snapshot, table, sink, random });
  const reactor = new ReactorSide();
  const memory = new RecordMemory(reactor.buffer);
  const ring = new LaneRing(memory);
  const reader = new CompletionReader(memory);
  const complete = (given: Partial<SampleCompletion>, route = 0, slot = 1, tenant = -1) => {
    reactor.offerCompletion(sampleCompletion(given));
    const at = ring.peek();
    reader.read(at);
    access.completed(reader, route, slot, tenant);
    ring.take(at);
  };
  const lines = () => {
    void access.close();
    return written.join('').split('\n').slice(0, -1);
  };
  return { complete, counts, lines, written };
}

t.test('a line says what happened to the exchange', async (t) => {
  const { complete, lines } = stand();
  complete({
    status: 200,
    path: '/x?y=1',
    bytesIn: 5,
    openUs: 1_234,
    flags: COMPLETED_COMMITTED | COMPLETED_SESSION_REUSED,
    family: 6,
    address: [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
  });
  t.strictSame(
    lines().map((line) => JSON.parse(line)),
    [
      {
        level: 'info',
        time: '2023-11-14T22:13:20.000Z',
        target: 'access',
        msg: 'exchange',
        shard: 3,
        listener: 'public',
        id: '0123456789abcdef0123456789abcdef',
        method: 'GET',
        authority: 'a.test',
        path: '/x?y=1',
        status: 200,
        route: 'r\u00f6ute "1"',
        upstream: 'web',
        backend: 'h2c://127.0.0.1:9001',
        attempts: 1,
        backend_status: 200,
        decide_ms: 0.012,
        open_ms: 1.234,
        send_ms: 0.005,
        await_ms: 0.8,
        total_ms: 1,
        bytes_in: 5,
        bytes_out: 1_024,
        peer: '2001:db8::1',
        port: 50_000,
        connection: 7,
        rtt_us: 250,
        session_reused: true,
        user_agent: 'probe/1',
      },
    ],
  );
});

t.test('an exchange without route and backend has neither in its line, a failed one its reason and side', async (t) => {
  const { complete, lines } = stand();
  complete(
    { status: 404, reason: reasonNumber('route_not_found'), flags: COMPLETED_COMMITTED | COMPLETED_FROM_EDGE, backendStatus: 0 },
    -1,
    -1,
  );
  complete({ status: 0, reason: reasonNumber('client_reset'), flags: COMPLETED_BY_CLIENT }, 0, 0);
  const [missed, left] = lines().map((line) => JSON.parse(line));
  t.match(missed, { status: 404, reason: 'route_not_found', ended_by: 'edge' });
  for (const key of ['route', 'upstream', 'backend', 'backend_status']) t.notOk(key in missed, key);
  t.match(left, { reason: 'client_reset', ended_by: 'client', route: 'r\u00f6ute "1"' });
});

t.test('whatever a client writes stays one line of ASCII that parses back', async (t) => {
  const text = fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 60 }).map((codes) => String.fromCharCode(...codes));
  fc.assert(
    fc.property(text, text, text, text, (requestId, authority, path, userAgent) => {
      const { complete, lines } = stand();
      complete({ requestId, authority, path, userAgent });
      const [line, ...others] = lines();
      const parsed = JSON.parse(line!);
      return (
        others.length === 0 &&
        /^[ -~]*$/.test(line!) &&
        parsed.id === requestId &&
        parsed.authority === authority &&
        parsed.path === path &&
        parsed.user_agent === userAgent
      );
    }),
  );
  t.pass('every line parses back');
});

t.test('the sample decides for successes, and failures are always logged', async (t) => {
  // Gaps of 0, 1 and many exchanges.
  const draws = [0, 0.25, 0.99];
  const { complete, counts, lines } = stand({ accessSample: 0.2 }, () => draws.shift()!);
  for (let i = 0; i < 3; i++) complete({ path: `/${i}` });
  complete({ path: '/503', status: 503 });
  complete({ path: '/reset', reason: 6 });
  t.strictSame(
    lines().map((line) => JSON.parse(line).path),
    ['/0', '/2', '/503', '/reset'],
  );
  t.strictSame(counts, [4], 'a batch says how many it has');
});

t.test('failures follow the sample where the configuration says so', async (t) => {
  const { complete, lines } = stand({ accessSample: 0, areFailuresAlwaysLogged: false });
  complete({ status: 503, reason: 17 });
  t.strictSame(lines(), []);
});

t.test('nothing is logged where access lines are turned off', async (t) => {
  const { complete, lines } = stand({ isAccessLogged: false });
  complete({ status: 503 });
  t.strictSame(lines(), []);
});

t.test('lines are written in batches that a pipe takes whole, and the last by a timer', async (t) => {
  const { complete, written } = stand();
  for (let i = 0; i < 100; i++) complete({});
  t.ok(written.length > 5 && written.length < 20, `${written.length} writes`);
  for (const batch of written) {
    t.ok(batch.length <= 4_096);
    t.ok(batch.endsWith('\n'));
  }
  const before = written.length;
  await new Promise((resolve) => setTimeout(resolve, 200));
  t.equal(written.length, before + 1);
  t.equal(written.join('').split('\n').length, 101);
});

t.test('a line names the tenant, the gRPC status and who won against a hedge, where there are any', async (t) => {
  const { complete, lines } = stand();
  complete({ grpcStatus: 14, flags: COMPLETED_COMMITTED | COMPLETED_HEDGED | COMPLETED_HEDGE_WON }, 0, 1, 0);
  complete({ flags: COMPLETED_COMMITTED | COMPLETED_HEDGED });
  complete({});
  const [won, wasted, plain] = lines().map((line) => JSON.parse(line) as Record<string, unknown>);
  t.match(won, { tenant: 'acme', grpc_status: 14, hedge: 'won' });
  t.match(wasted, { hedge: 'wasted' });
  for (const key of ['tenant', 'grpc_status', 'hedge']) t.notOk(key in plain!, key);
});
