/**
 * Workers that die one after another, in every way and at the worst moment, under as much load as a
 * client can make: nobody notices.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { h2load, missingH2load } from '../support/client/h2load.ts';
import { connectH3 } from '../support/client/h3.ts';
import { type Edge, missingAddon, startEdge } from '../support/edge.ts';
import { answers } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

t.setTimeout(180_000);

const FAULTS = ['throw', 'exit', 'loop', 'oom'] as const;
const MOMENTS = ['now', 'decide'] as const;
const options = { env: { LYCHGATE_TEST_FAULTS: '1' }, config: { shards: { count: 1, stall_timeout: '500ms' } } };

for (const fault of FAULTS) {
  t.test(
    `workers that die of ${fault} under h2load cost none of 60,000 requests`,
    { skip: missingAddon || missingH2load, timeout: 60_000 },
    async (t) => {
      const origin = await startH2Origin(t, answers('x'.repeat(1_024)));
      const edge = await startEdge(t, { ...options, backends: [origin.url] });
      const load = h2load(`${edge.origin}/`, 60_000, 4, 16);
      await until('the load runs', async () => (await edge.metrics()).sum('lychgate_requests_total') > 1_000);
      for (const [deaths, moment] of MOMENTS.entries()) {
        await hurt(edge, fault, moment);
        await until('the worker is replaced', async () => (await restarts(edge)) > deaths && (await isReady(edge)), 20_000);
      }
      const { succeeded, lost } = await load;
      t.same({ succeeded, lost }, { succeeded: 60_000, lost: 0 });
      t.equal((await edge.metrics()).sum('lychgate_connections_opened_total'), 4, 'nobody connected again');
      await until('nothing is in flight', async () => (await edge.metrics()).sum('lychgate_attempts_in_flight') === 0);
    },
  );
}

t.test('after six deaths in a row the edge serves and its counters go on', { skip: missingAddon, timeout: 60_000 }, async (t) => {
  const origin = await startH2Origin(t, answers('ok'));
  const edge = await startEdge(t, { ...options, backends: [origin.url] });
  const client = await connectH3(t, edge.port);
  let answered = 0;
  for (let deaths = 0; deaths < 6; deaths += 1) {
    await hurt(edge, FAULTS[deaths % 2] as string, MOMENTS[deaths % 3 === 0 ? 1 : 0]);
    // With `decide` the fault lies in wait for these.
    const responses = await Promise.all(Array.from({ length: 20 }, () => client.exchange()));
    answered += responses.filter(({ status }) => status === 200).length;
    await until('the worker is replaced', async () => (await restarts(edge)) > deaths && (await isReady(edge)), 20_000);
    // A completion that a dead worker had not read is its successor's.
    await until('they are counted', async () => (await edge.metrics()).sum('lychgate_requests_total') === answered);
    await sleep(50);
  }
  t.equal(answered, 120);
  t.equal((await edge.metrics()).sum('lychgate_handshakes_total', { outcome: 'completed' }), 1, 'on one connection');
  t.equal((await edge.metrics()).sum('lychgate_attempts_in_flight'), 0);
});

async function restarts(edge: Edge): Promise<number> {
  return (await edge.metrics()).sum('lychgate_shard_restarts_total');
}

async function isReady(edge: Edge): Promise<boolean> {
  return (await fetch(`${edge.admin}/readyz`)).ok;
}

async function hurt(edge: Edge, fault: string, at = 'now'): Promise<void> {
  const response = await fetch(`${edge.admin}/v1/test/fault`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ shard: 0, fault, at }),
  });
  if (!response.ok) throw new Error(`fault refused: ${response.status} ${await response.text()}`);
}
