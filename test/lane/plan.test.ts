import t from 'tap';
import type { BackendSnapshot } from '../../src/config/snapshot/upstream.ts';
import { EDGE_PLAN, type Edit } from '../../src/lane/plan/plan.ts';
import { compilePlans } from '../../src/lane/plan/table.ts';
import { type RouteWish, type SnapshotWishes, sampleSnapshot, trusting } from '../support/snapshots.ts';

const SPOOFABLE = [
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-real-ip',
  'true-client-ip',
  'x-original-url',
  'x-rewrite-url',
  'x-forwarded-prefix',
  'x-forwarded-server',
  'x-forwarded-ssl',
  'x-forwarded-client-cert',
];

/** The plan of `route` towards the first backend of its first target. */
function planOf(route: RouteWish, wishes: SnapshotWishes = {}, trust = 0) {
  const { plans, ofRoute } = compilePlans(sampleSnapshot({ ...wishes, routes: [route] }));
  return plans[ofRoute[0]!.of(0, 0, trust)]!;
}

function trustedPlanOf(route: RouteWish) {
  return planOf(route, { listeners: [{ trustedNetworks: trusting(['10.0.0.0/8']) }] }, 1);
}

function brief(edits: readonly Edit[]): string[] {
  return edits.map(({ op, name, value, match }) => [op, name, match, value].filter((part) => part !== '').join(' '));
}

t.test("a client's own forwarded headers are dropped and ours are set", async (t) => {
  const edits = planOf({}).request;
  t.strictSame(
    edits.filter((edit) => edit.op === 'remove').map((edit) => edit.name),
    SPOOFABLE,
  );
  t.strictSame(brief(edits.filter((edit) => edit.op === 'set')), [
    'set x-forwarded-for ${client_address}',
    'set x-forwarded-proto ${scheme}',
    'set x-forwarded-host ${authority}',
    'set x-request-id ${request_id}',
  ]);
});

t.test("a trusted peer's forwarded headers are appended to, kept or overwritten; any other's are dropped", async (t) => {
  const appended = trustedPlanOf({ forwarded: 'both', forwardedTrusted: 'append' }).request;
  t.strictSame(brief(appended), [
    'remove forwarded',
    'append x-forwarded-for ${client_address}',
    'append x-forwarded-proto ${scheme}',
    'append x-forwarded-host ${authority}',
    'append forwarded for=${forwarded_node};host="${authority}";proto=${scheme}',
    'set x-request-id ${request_id}',
  ]);
  t.strictSame(brief(trustedPlanOf({ forwardedTrusted: 'keep' }).request), ['remove forwarded', 'set x-request-id ${request_id}']);
  const untrusted = planOf({ forwardedTrusted: 'keep' }).request;
  t.strictSame(trustedPlanOf({ forwardedTrusted: 'overwrite' }).request, untrusted);
  t.match(
    untrusted,
    SPOOFABLE.map((name) => ({ op: 'remove', name })),
  );
});

t.test('Via tells in which version a message came, and of no response whose version is not known beforehand', async (t) => {
  const backends = [{ scheme: 'h2c' }, { scheme: 'http' }, { scheme: 'https' }, { scheme: 'h2c' }] as const;
  const { plans, ofRoute } = compilePlans(sampleSnapshot({ upstreams: [{ backends }], routes: [{ via: 'edge:443' }] }));
  const towards = backends.map((_, position) => plans[ofRoute[0]!.of(0, position, 0)]!);
  for (const { request } of towards) t.ok(brief(request).includes('append via 3 edge:443'));
  t.strictSame(
    towards.map(({ response }) => brief(response).filter((line) => line.includes(' via '))),
    [['append via 2 edge:443'], ['append via 1.1 edge:443'], [], ['append via 2 edge:443']],
  );
  t.equal(towards[0], towards[3], 'backends of one scheme share a plan');
  t.strictSame(brief(plans[ofRoute[0]!.answerPlan]!.response), ['set x-request-id ${request_id}'], 'answers of the edge came by nobody');
  t.strictSame(
    brief(planOf({ via: '' }).request).filter((line) => line.includes('via')),
    [],
  );
  const last = planOf({ via: 'edge', requestEdits: [{ op: 'remove', name: 'via', value: '' }] }).request;
  t.strictSame(brief(last).slice(-1), ['remove via'], 'the operator has the last word');
});

t.test('Forwarded is written as RFC 7239 says', async (t) => {
  t.has(planOf({ forwarded: 'forwarded' }).request, [
    ...SPOOFABLE.map((name) => ({ op: 'remove', name })),
    { op: 'set', name: 'forwarded', value: 'for=${forwarded_node};host="${authority}";proto=${scheme}' },
  ]);
});

t.test('a route that writes none still drops what an untrusted client pretends', async (t) => {
  t.strictSame(
    planOf({ forwarded: 'off' }).request.map((edit) => edit.name),
    [...SPOOFABLE, 'x-request-id'],
  );
});

t.test('the request id goes to the backend and back to the client, in answers of our own too', async (t) => {
  const echo = { op: 'set', name: 'x-request-id', value: '${request_id}' };
  t.match(planOf({}).response, [echo]);
  const { plans } = compilePlans(sampleSnapshot());
  t.match(plans[EDGE_PLAN], { request: [], response: [echo] });
});

t.test("a route that sends the backend's own host has a plan a backend", async (t) => {
  const backends: Partial<BackendSnapshot>[] = [
    { host: 'a.test', port: 8443, scheme: 'https' },
    { host: 'b.test', port: 443, scheme: 'https' },
    { host: '::1', port: 80, scheme: 'h2c' },
  ];
  const { plans, ofRoute } = compilePlans(sampleSnapshot({ upstreams: [{ backends }], routes: [{ hostPolicy: 'backend' }] }));
  t.strictSame(
    backends.map((_, position) => plans[ofRoute[0]!.of(0, position, 0)]!.request.at(-1)),
    ['a.test:8443', 'b.test', '[::1]'].map((value) => ({ op: 'set', name: ':authority', value, match: '' })),
  );
});

t.test('positions are those of the backends with the labels that the target asks for', async (t) => {
  const snapshot = sampleSnapshot({
    upstreams: [{ backends: [{ host: 'old.test' }, { host: 'new.test', labels: { version: '2' } }] }],
    routes: [{ hostPolicy: 'backend', targets: [{ subset: { version: '2' } }] }],
  });
  const { plans, ofRoute } = compilePlans(snapshot);
  t.match(plans[ofRoute[0]!.of(0, 0, 0)]!.request.at(-1), { name: ':authority', value: 'new.test:9001' });
});

t.test("the operator's edits come after ours, with what is known of them written out", async (t) => {
  const plan = planOf(
    {
      name: 'shop',
      requestEdits: [
        { op: 'remove', name: 'x-internal-*', value: '' },
        { op: 'set', name: 'x-route', value: '${route} to ${upstream} at ${backend} for ${client_address}' },
      ],
      responseEdits: [{ op: 'add', name: 'x-served-by', value: '${backend}' }],
    },
    { upstreams: [{ name: 'web', backends: [{ host: 'a.test' }, { host: 'b.test' }] }] },
  );
  t.strictSame(brief(plan.request).slice(-2), ['remove x-internal-*', 'set x-route shop to web at a.test:9000 for ${client_address}']);
  t.strictSame(brief(plan.response), ['set x-request-id ${request_id}', 'add x-served-by a.test:9000']);
});

t.test('a prefix is replaced by the plan, a pattern by the value the lane brings', async (t) => {
  const prefix = planOf({ path: { kind: 'prefix', prefix: '/api', replacement: '/v2' } });
  t.strictSame(brief(prefix.request.slice(-1)), ['prefix :path /api /v2']);
  const regex = planOf({ path: { kind: 'regex', pattern: '^/a', replacement: '/b' } });
  t.strictSame(brief(regex.request.slice(-1)), ['set :path ${value_0}']);
});

t.test('what is left of the time is told where the client may have told its own', async (t) => {
  const plan = planOf({ deadlineHeader: 'x-timeout-ms', isGrpcTimeoutObeyed: true });
  t.strictSame(brief(plan.request).slice(-2), ['set x-timeout-ms ${remaining_ms}', 'set grpc-timeout ${remaining_grpc}']);
});

t.test('the sticky cookie is set last, where the upstream sticks by cookie', async (t) => {
  const sticky = { kind: 'cookie', cookie: 'lane', path: '/', maxAgeS: 0, key: new Uint8Array(32) } as const;
  const responseEdits = [{ op: 'remove', name: 'set-cookie', value: '' }] as const;
  const plan = planOf({ responseEdits }, { upstreams: [{ balance: { sticky } }] });
  t.strictSame(brief(plan.response).slice(-2), ['remove set-cookie', 'add set-cookie ${value_1}']);
});

t.test('responses of the fallback upstream say so', async (t) => {
  const fallback = { kind: 'upstream', target: { upstream: 1, weight: 100, subset: {} } } as const;
  const { plans, ofRoute } = compilePlans(sampleSnapshot({ upstreams: [{}, {}], routes: [{ fallback }] }));
  t.match(plans[ofRoute[0]!.of(1, 0, 0)]!.response, [{}, { op: 'set', name: 'x-lychgate-fallback', value: '1' }]);
  t.equal(plans[ofRoute[0]!.of(0, 0, 0)]!.response.length, 1);
});

t.test("a route's own answers have its response edits", async (t) => {
  const responseEdits = [{ op: 'set', name: 'x-route', value: '${route}${upstream}${backend}' }] as const;
  const { plans, ofRoute } = compilePlans(sampleSnapshot({ routes: [{ name: 'r', responseEdits }, {}] }));
  t.strictSame(brief(plans[ofRoute[0]!.answerPlan]!.response), ['set x-request-id ${request_id}', 'set x-route r']);
  t.equal(ofRoute[1]!.answerPlan, EDGE_PLAN);
});

t.test('routes that say the same share a plan', async (t) => {
  const routes = Array.from({ length: 500 }, (_, i) => ({ match: { path: `/${i}` } }));
  t.equal(compilePlans(sampleSnapshot({ routes })).plans.length, 3, "one, one for heads with underscores, and the edge's own");
});

t.test('fields that only proxies may send pass from those that are trusted, and can be more or fewer', async (t) => {
  const removed = (edits: readonly Edit[]) => edits.filter(({ op }) => op === 'remove').map(({ name }) => name);
  t.strictSame(removed(trustedPlanOf({}).request), ['forwarded']);
  t.strictSame(removed(trustedPlanOf({ forwardedTrusted: 'keep' }).request), ['forwarded']);
  const listeners = [{ trustedNetworks: trusting(['10.0.0.0/8'], 'forwarded') }];
  t.strictSame(removed(planOf({}, { listeners }, 1).request), SPOOFABLE.slice(1, 5));
  t.strictSame(removed(trustedPlanOf({ forwardedTrusted: 'overwrite' }).request), SPOOFABLE);
  t.strictSame(removed(planOf({}, { claims: { fields: ['x-client-dn', 'forwarded'] } }).request), [
    ...SPOOFABLE.slice(0, 5),
    'x-client-dn',
  ]);
});

t.test('of the fields in which proxies tell the client each passes only from those that write it', async (t) => {
  const removed = (edits: readonly Edit[]) => edits.filter(({ op }) => op === 'remove').map(({ name }) => name);
  const listeners = ['x-forwarded-for', 'forwarded', 'x-client'].map((field, i) => ({
    trustedNetworks: trusting([`10.${i}.0.0/16`], field),
  }));
  const by = (trust: number, route: RouteWish = {}) => removed(planOf(route, { listeners }, trust).request);
  t.strictSame(by(0), [...SPOOFABLE.slice(0, 5), 'x-client', ...SPOOFABLE.slice(5)]);
  for (const route of [{}, { forwardedTrusted: 'keep' }] as const) {
    t.strictSame(by(1, route), ['forwarded', 'x-client']);
    t.strictSame(by(2, route), [...SPOOFABLE.slice(1, 5), 'x-client']);
    t.strictSame(by(3, route), SPOOFABLE.slice(0, 5));
  }
  t.strictSame(by(2, { forwardedTrusted: 'overwrite' }), by(0));
});

t.test('names with an underscore have a plan of their own, in which those that pass are spared', async (t) => {
  const snapshot = sampleSnapshot({ claims: { underscoreNames: ['x_user', 'x_app'] } });
  const { plans, ofRoute } = compilePlans(snapshot);
  const [plain, dropping] = [false, true].map((isDropped) => plans[ofRoute[0]!.of(0, 0, 0, isDropped)]!.request);
  t.strictSame(dropping, [{ op: 'remove', name: '*_*', value: 'x_user,x_app', match: '' }, ...plain!]);
});
