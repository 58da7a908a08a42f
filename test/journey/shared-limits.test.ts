/**
 * Two edges and one limit, kept in a real Redis: what they let pass together, and what they do
 * without it.
 */

import t, { type Test } from 'tap';
import { certificates } from '../support/certificates.ts';
import { connectH3, type H3Client } from '../support/client/h3.ts';
import { type Edge, missingAddon, startEdge } from '../support/edge.ts';
import { answers } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { missingStore, startStore, startStoreRoad } from '../support/store.ts';
import { until } from '../support/wait.ts';

const skip = missingAddon || missingStore;

const TIMEOUT_MS = 300;

async function edgeOf(
  t: Test,
  store: string,
  rate: Record<string, unknown>,
  env: Record<string, string> = {},
): Promise<{ edge: Edge; client: H3Client }> {
  const origin = await startH2Origin(t, answers('ok'));
  const edge = await startEdge(t, {
    backends: [origin.url],
    env,
    route: { limits: { rate: [{ name: 'all', requests: 20, per: '1h', shared: true, ...rate }] } },
    config: { store: { url: store, timeout: `${TIMEOUT_MS}ms` } },
  });
  return { edge, client: await connectH3(t, edge.port) };
}

const ask = (client: H3Client, count: number) => Promise.all(Array.from({ length: count }, () => client.exchange()));

const passed = (responses: readonly { status: number }[]) => responses.filter(({ status }) => status === 200).length;

t.test('two edges let pass together what the limit allows', { skip }, async (t) => {
  const { url } = await startStore(t, 'hush-hush');
  const [one, other] = await Promise.all([edgeOf(t, url, {}), edgeOf(t, url, {})]);
  const responses = (await Promise.all([ask(one.client, 30), ask(other.client, 30)])).flat();
  t.equal(passed(responses), 20);
  t.match(
    responses.find(({ status }) => status === 429),
    { headers: { 'retry-after': '180', ratelimit: '"all";r=0;t=180' } },
  );
  const said = [one, other].map(({ edge }) => JSON.stringify(edge.log) + JSON.stringify(edge.access())).join();
  t.notMatch(said, /hush-hush/, 'the password is nowhere in the logs');
  t.notMatch(JSON.stringify(await one.edge.ask('/v1/config')), /hush-hush/, 'nor in what the admin API shows');
});

t.test('over TLS the store must be who its certificate says', { skip }, async (t) => {
  const { url } = await startStore(t, '', 'tls');
  const trusting = await edgeOf(t, url, {}, { NODE_EXTRA_CA_CERTS: certificates().caPath });
  const strict = await edgeOf(t, url, { on_store_failure: 'refuse' });
  t.equal(passed(await ask(trusting.client, 25)), 20);
  t.equal(passed(await ask(strict.client, 5)), 0);
});

t.test('a store that goes away leaves each edge with its own count, and one that comes back is used', { skip }, async (t) => {
  const { url, port } = await startStore(t);
  const road = await startStoreRoad(t, port);
  const { client } = await edgeOf(t, url.replace(String(port), String(road.port)), {});
  t.equal(passed(await ask(client, 5)), 5);
  await road.close();
  t.equal(passed(await ask(client, 30)), 20, 'the local bucket was full');
  await road.open();
  await until('the store counts again', async () => (await client.exchange()).status === 200);
  await until('until it is full', async () => (await client.exchange()).status === 429);
});

t.test('without a store all are refused where that is asked for', { skip }, async (t) => {
  const { url, stop } = await startStore(t);
  const { client, edge } = await edgeOf(t, url, { on_store_failure: 'refuse' });
  t.equal((await client.exchange()).status, 200);
  await stop();
  const refused = await ask(client, 10);
  for (const response of refused) t.match(response, { status: 503, text: /rate_limit_not_available/ });
  t.equal((await edge.metrics()).sum('lychgate_request_failures_total', { reason: 'rate_limit_not_available' }), 10);
});

t.test('a store that is slow holds nobody up for longer than its timeout, and most not at all', { skip }, async (t) => {
  const { url, port } = await startStore(t);
  const road = await startStoreRoad(t, port);
  const { client, edge } = await edgeOf(t, url.replace(String(port), String(road.port)), { requests: 1_000 });
  await client.exchange();
  road.delayMs = 20_000;
  for (let i = 0; i < 50; i++) t.equal((await client.exchange()).status, 200);
  // In the reactor's own time, which other load of the machine does not stretch: from the head to
  // its last decision.
  const waits = edge.access().filter((line) => Number(line['decide_ms']) >= TIMEOUT_MS);
  t.ok(waits.length < 10, `${waits.length} of 50 waited`);
  t.ok(
    waits.every((line) => Number(line['decide_ms']) < TIMEOUT_MS * 2),
    'none much longer',
  );
});
