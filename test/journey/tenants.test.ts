/**
 * Tenants: the same path leads elsewhere, each has limits of its own, and a flood of one is nothing
 * to another.
 */

import type { ServerHttp2Stream } from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { answers } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

const skip = missingAddon;

t.test('a flood of one tenant leaves every request of another as it was', { skip }, async (t) => {
  const loud = await startH2Origin(t, answers('loud'));
  const quiet = await startH2Origin(t, answers('quiet'));
  const edge = await startEdge(t, {
    backends: [],
    config: {
      upstreams: { loud: { backends: [{ url: loud.url }] }, quiet: { backends: [{ url: quiet.url }] } },
      tenants: {
        loud: { header: 'x-tenant', limits: { in_flight: 8, rate: [{ requests: 50, per: '1h' }] } },
        quiet: { header: 'x-tenant', limits: { in_flight: 8, rate: [{ requests: 1_000, per: '1h' }] } },
      },
      routes: [
        { match: { path: '/', tenant: 'loud' }, upstream: 'loud' },
        { match: { path: '/', tenant: 'quiet' }, upstream: 'quiet' },
      ],
    },
  });
  const flood = await connectH3(t, edge.port);
  const own = await connectH3(t, edge.port);
  let isOver = false;
  let flooded = 0;
  let served = 0;
  const loop = async (): Promise<void> => {
    while (!isOver) {
      const { status } = await flood.exchange({ headers: { 'x-tenant': 'loud' } });
      flooded += 1;
      if (status === 200) served += 1;
      await sleep(1);
    }
  };
  const loops = Array.from({ length: 16 }, loop);
  await until('the flood is there', () => flooded > 100);
  for (let i = 0; i < 30; i++) {
    t.match(await own.exchange({ headers: { 'x-tenant': 'quiet' } }), { status: 200, text: 'quiet' });
  }
  isOver = true;
  await Promise.all(loops);
  t.equal(served, 50, `of ${flooded} of the flood`);
  t.equal((await own.exchange({})).status, 404, 'a request of no tenant has no route here');
});

t.test('a tenant with as many in flight as it may is refused, and another is not', { skip }, async (t) => {
  const held: ServerHttp2Stream[] = [];
  const origin = await startH2Origin(t, (stream) => void held.push(stream));
  const edge = await startEdge(t, {
    backends: [origin.url],
    config: { tenants: { loud: { path: '/loud', limits: { in_flight: 2 } } } },
    route: { match: { path: '/' } },
  });
  const client = await connectH3(t, edge.port);
  const first = [client.exchange({ path: '/loud/a' }), client.exchange({ path: '/loud/b' })];
  await until('both are at the backend', () => held.length === 2);
  t.match(await client.exchange({ path: '/loud/c' }), { status: 503, text: /tenant_full/, headers: { 'retry-after': '1' } });
  origin.behave = answers('ok');
  t.equal((await client.exchange({ path: '/quiet' })).status, 200);
  for (const stream of held) answers('late')(stream, {});
  for (const response of await Promise.all(first)) t.equal(response.status, 200);
  t.equal((await client.exchange({ path: '/loud/d' })).status, 200, 'places are free again');
});
