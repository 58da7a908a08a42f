import t from 'tap';
import { reasonNumber } from '../../src/base/errors.ts';
import type { RedirectSnapshot, RouteSnapshot } from '../../src/config/snapshot/route.ts';
import { FixedAnswer } from '../../src/lane/answer/fixed-answer.ts';
import { MAX_LOCATION_BYTES } from '../../src/lane/answer/location.ts';
import { OwnAnswer } from '../../src/lane/answer/own-answer.ts';
import { GrpcSign } from '../../src/lane/head/grpc.ts';
import { respondBytes } from '../../src/record/write.ts';
import { headDesk } from '../support/heads.ts';
import { standLane } from '../support/lanes.ts';
import { type SampleHead, sampleAttemptFailed } from '../support/records.ts';
import { sampleRoute, sampleSnapshot } from '../support/snapshots.ts';

const PLAIN: RedirectSnapshot = { status: 302, scheme: '', host: '', port: 0, path: { kind: 'keep' }, isQueryKept: true };
const GRPC: readonly [string, string][] = [['content-type', 'application/grpc+proto']];

function routeTo(given: Partial<RedirectSnapshot>): RouteSnapshot {
  return { ...sampleRoute(), targets: [], redirect: { ...PLAIN, ...given } };
}

function locationOf(given: Partial<RedirectSnapshot>, head: Partial<SampleHead>): string | undefined {
  const answer = OwnAnswer.of(routeTo(given))!.answer(headDesk().read({ scheme: 'https', ...head }), false);
  return answer.fields.find(([name]) => name === 'location')?.[1];
}

t.test('a Location is absolute and keeps of the request what the route leaves open', async (t) => {
  const head = { authority: 'a.test:8443', path: '/x?y=1' };
  t.equal(locationOf({ host: 'b.test' }, head), 'https://b.test:8443/x?y=1');
  t.equal(locationOf({ port: 443 }, head), 'https://a.test/x?y=1');
  t.equal(locationOf({ port: 9_443 }, head), 'https://a.test:9443/x?y=1');
  t.equal(locationOf({ scheme: 'http' }, head), 'http://a.test/x?y=1', 'another scheme, another port');
  t.equal(locationOf({ scheme: 'https' }, head), 'https://a.test:8443/x?y=1');
  t.equal(locationOf({ host: 'b.test', isQueryKept: false }, head), 'https://b.test:8443/x');
  t.equal(locationOf({ path: { kind: 'prefix', prefix: '/x', replacement: '/z' } }, head), 'https://a.test:8443/z?y=1');
  t.equal(locationOf({ path: { kind: 'regex', pattern: '^.*$', replacement: '/new' } }, head), 'https://a.test:8443/new?y=1');
  t.equal(locationOf({ host: 'b.test' }, { authority: '[::1]:8443', path: '*' }), 'https://b.test:8443/');
  t.equal(
    locationOf({ path: { kind: 'prefix', prefix: '/', replacement: '/v' } }, { authority: '[::1]', path: '/x' }),
    'https://[::1]/v/x',
  );
  t.equal(locationOf({ host: 'b.test' }, { authority: 'a.test', path: '/\u00e9"' }), 'https://b.test/%E9"');
});

t.test('a Location that would be too long is 414', async (t) => {
  const own = OwnAnswer.of(routeTo({ host: 'b.test' }))!;
  const answer = own.answer(headDesk().read({ path: `/${'x'.repeat(MAX_LOCATION_BYTES)}` }), false);
  t.equal(answer.status, 414);
  const longest = own.answer(headDesk().read({ scheme: 'https', authority: 'a.test', path: '/'.repeat(MAX_LOCATION_BYTES - 14) }), false);
  t.equal(longest.status, 302);
  t.equal(longest.fields[0]![1].length, MAX_LOCATION_BYTES);
  t.ok(respondBytes(longest) <= own.maxBytes);
});

t.test('redirects and fixed responses are answered by the lane with their reason and the edits of their route', async (t) => {
  const snapshot = sampleSnapshot({
    routes: [
      { match: { path: '/old' }, targets: [], redirect: { ...PLAIN, status: 308, host: 'new.test' } },
      {
        match: { path: '/down' },
        targets: [],
        fixed: { status: 503, fields: [['retry-after', '60']], body: 'later' },
        responseEdits: [{ op: 'set', name: 'x-a', value: 'b' }],
      },
      { match: { path: '/none' }, targets: [], fixed: { status: 204, fields: [], body: 'never sent' } },
    ],
  });
  const decisions = standLane(snapshot).ask({ path: '/old/x' }, { path: '/down' }, { path: '/none' }, { path: '/' });
  t.match(decisions, [
    {
      kind: 'respond',
      status: 308,
      reason: reasonNumber('redirected'),
      fields: [['location', /^https?:\/\/new\.test.*\/old\/x$/]],
      body: '',
    },
    { kind: 'respond', status: 503, reason: reasonNumber('fixed_response'), fields: [['retry-after', '60']], body: 'later' },
    { kind: 'respond', status: 204, body: '' },
    { kind: 'respond', status: 404 },
  ]);
  const plans = decisions.map((decision) => (decision.kind === 'respond' ? decision.plan : -1));
  t.notSame(plans[1], plans[0], 'the second has edits');
});

t.test('a large fixed response has the room it needs', async (t) => {
  const fixed = { status: 200, fields: [['x-a', 'b'.repeat(4_000)]] as const, body: 'x'.repeat(16_384) };
  const stand = standLane(sampleSnapshot({ routes: [{ targets: [], fixed }] }));
  let count = stand.ask(...Array.from({ length: 40 }, () => ({}))).length;
  t.ok(count < 40);
  for (let turn = 0; turn < 10; turn++) count += stand.ask().length;
  t.equal(count, 40);
  t.strictSame(stand.noted.errors, []);
});

t.test('gRPC is told by method and content-type', async (t) => {
  const desk = headDesk();
  const sign = new GrpcSign(desk.lookups);
  const isGrpc = (method: string, type: string) => sign.isIn(desk.read({ method, fields: [['content-type', type]] }));
  for (const type of ['application/grpc', 'application/grpc+proto', 'application/grpc;charset=x']) t.ok(isGrpc('POST', type), type);
  for (const type of ['application/grpc-web', 'application/grp', 'application/json', '']) t.notOk(isGrpc('POST', type), type);
  t.notOk(isGrpc('GET', 'application/grpc'));
  t.notOk(sign.isIn(desk.read({ method: 'POST' })));
});

t.test('every answer of the edge to gRPC is trailers-only, with the status that HTTP says', async (t) => {
  const snapshot = sampleSnapshot({
    routes: [
      {
        match: { path: '/down' },
        targets: [],
        fixed: {
          status: 429,
          fields: [
            ['retry-after', '60'],
            ['content-type', 'text/plain'],
          ],
          body: 'x',
        },
      },
      { match: { path: '/old' }, targets: [], redirect: { ...PLAIN, host: 'new.test' } },
      { match: { path: '/fall' }, fallback: { kind: 'fixed', answer: { status: 503, fields: [], body: 'x' } } },
      { match: { path: '/web' } },
    ],
  });
  const stand = standLane(snapshot);
  stand.lane.setAddresses(0, 0);
  stand.lane.setAddresses(1, 0);
  const asked = ['/down', '/old', '/fall', '/web', '/none'].map((path) => ({ path, method: 'POST', fields: GRPC }));
  const statusOf = [14, 2, 14, 14, 12];
  for (const [i, decision] of stand.ask(...asked).entries()) {
    if (decision.kind !== 'respond') throw new Error(decision.kind);
    t.equal(decision.status, 200);
    t.equal(decision.body, '');
    t.strictSame(decision.fields.slice(0, 2), [
      ['content-type', 'application/grpc'],
      ['grpc-status', String(statusOf[i])],
    ]);
    t.equal(decision.fields.filter(([name]) => name === 'content-type').length, 1);
  }
});

t.test('an answer after a failed attempt is gRPC as well, though the head is gone', async (t) => {
  const stand = standLane(sampleSnapshot({ routes: [{ retries: { attempts: 0 } }] }));
  const [forward] = stand.ask({ method: 'POST', fields: GRPC });
  if (forward?.kind !== 'forward') throw new Error('not forwarded');
  const {
    tag,
    slot,
    memo: [memo0, memo1, memo2],
  } = forward;
  stand.reactor.offerAttemptFailed(sampleAttemptFailed({ tag, memo0, memo1, memo2, slot, reason: reasonNumber('connect_failed') }));
  t.match(stand.ask(), [
    {
      kind: 'respond',
      status: 200,
      fields: [
        ['content-type', 'application/grpc'],
        ['grpc-status', '14'],
        ['grpc-message', 'connect_failed'],
      ],
    },
  ]);
});

t.test('a fixed answer that speaks gRPC already is left alone, and the fallback says what it is', async (t) => {
  const own = new FixedAnswer({ status: 200, fields: [['grpc-status', '5']], body: '' }, 'x');
  t.strictSame(own.of(true), own.of(false));
  const fallback = { kind: 'fixed', answer: { status: 200, fields: [], body: 'stale' } } as const;
  const stand = standLane(sampleSnapshot({ routes: [{ fallback }] }));
  stand.lane.setAddresses(0, 0);
  stand.lane.setAddresses(1, 0);
  t.match(stand.ask({}), [
    { kind: 'respond', status: 200, reason: reasonNumber('fallback_response'), fields: [['x-lychgate-fallback', '1']], body: 'stale' },
  ]);
});
