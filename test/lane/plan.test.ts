import t from 'tap';
import type { RouteSnapshot } from '../../src/config/snapshot.ts';
import { compilePlans, EDGE_PLAN } from '../../src/lane/plan.ts';
import { sampleSnapshot } from '../support/snapshots.ts';

const SPOOFABLE = ['forwarded', 'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-forwarded-port'];

function requestEdits(route: Partial<RouteSnapshot>) {
  const { plans, ofRoute } = compilePlans(sampleSnapshot({ routes: [route] }));
  return plans[ofRoute[0]![0]!]!.request;
}

t.test("a client's own forwarded headers are dropped and ours are set", async (t) => {
  const edits = requestEdits({});
  t.strictSame(
    edits.filter((edit) => edit.op === 'remove').map((edit) => edit.name),
    SPOOFABLE,
  );
  t.strictSame(
    edits.filter((edit) => edit.op === 'set').map((edit) => [edit.name, edit.value]),
    [
      ['x-forwarded-for', '${client_address}'],
      ['x-forwarded-proto', '${scheme}'],
      ['x-forwarded-host', '${authority}'],
      ['x-request-id', '${request_id}'],
    ],
  );
});

t.test("a trusted client's forwarded headers are appended to", async (t) => {
  const edits = requestEdits({ forwarded: 'both', forwardedTrusted: 'append' });
  t.notOk(edits.some((edit) => edit.op === 'remove'));
  t.strictSame(
    edits.filter((edit) => edit.op === 'append').map((edit) => edit.name),
    ['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'forwarded'],
  );
});

t.test('Forwarded is written as RFC 7239 says', async (t) => {
  t.has(requestEdits({ forwarded: 'forwarded' }), [
    ...SPOOFABLE.map((name) => ({ op: 'remove', name })),
    { op: 'set', name: 'forwarded', value: 'for=${forwarded_node};host="${authority}";proto=${scheme}' },
  ]);
});

t.test('a route that writes none still drops what an untrusted client pretends', async (t) => {
  t.strictSame(
    requestEdits({ forwarded: 'off' }).map((edit) => edit.name),
    [...SPOOFABLE, 'x-request-id'],
  );
  t.strictSame(
    requestEdits({ forwarded: 'off', forwardedTrusted: 'append' }).map((edit) => edit.name),
    ['x-request-id'],
  );
});

t.test('the request id goes to the backend and back to the client, in answers of our own too', async (t) => {
  const { plans, ofRoute } = compilePlans(sampleSnapshot());
  const echo = { op: 'set', name: 'x-request-id', value: '${request_id}' };
  t.match(plans[ofRoute[0]![0]!]!.response, [echo]);
  t.match(plans[EDGE_PLAN], { request: [], response: [echo] });
});

t.test("a route that sends the backend's own host has a plan a backend", async (t) => {
  const backends = [
    { host: 'a.test', port: 8443, scheme: 'https' as const },
    { host: 'b.test', port: 443, scheme: 'https' as const },
    { host: '::1', port: 80, scheme: 'h2c' as const },
  ];
  const { plans, ofRoute } = compilePlans(sampleSnapshot({ upstreams: [{ backends }], routes: [{ hostPolicy: 'backend' }] }));
  t.strictSame(
    ofRoute[0]!.map((plan) => plans[plan]!.request.at(-1)),
    ['a.test:8443', 'b.test', '[::1]'].map((value) => ({ op: 'set', name: ':authority', value })),
  );
});

t.test('routes that say the same share a plan', async (t) => {
  const routes = Array.from({ length: 500 }, (_, i) => ({ match: { path: `/${i}` } }));
  t.equal(compilePlans(sampleSnapshot({ routes })).plans.length, 2);
});
