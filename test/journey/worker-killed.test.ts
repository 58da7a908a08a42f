/**
 * A worker that dies is replaced; the reactor, its connections and the bodies in flight live on.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { connectH3 } from '../support/client/h3.ts';
import { digest } from '../support/digest.ts';
import { type Edge, missingAddon, startEdge } from '../support/edge.ts';
import { answers, byPath, pour, pourDigest } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

const MIB = 1024 * 1024;
const FAULTS = ['throw', 'exit', 'loop', 'oom'] as const;

t.setTimeout(180_000);

for (const fault of FAULTS) {
  t.test(
    `a worker that dies of ${fault} under load costs no request and no connection`,
    { skip: missingAddon, timeout: 60_000 },
    async (t) => {
      const total = 64 * MIB;
      const origin = await startH2Origin(
        t,
        byPath({
          '/': answers('ok'),
          '/long': (stream) => {
            stream.respond({ ':status': 200 });
            pour(stream, total);
            // Node resets a stream whose request nobody reads, and the reset may overtake the end
            // of the body.
            stream.resume();
          },
        }),
      );
      const edge = await startEdge(t, {
        backends: [origin.url],
        env: { LYCHGATE_TEST_FAULTS: '1' },
        config: { shards: { count: 1, stall_timeout: '500ms' } },
      });
      const client = await connectH3(t, edge.port);
      await client.exchange();

      // A body in flight over the whole of it, and small requests at a steady pace.
      const long = digest((await client.open({ path: '/long' })).stream);
      let isOver = false;
      let failed = 0;
      let answered = 0;
      const load = (async () => {
        while (!isOver) {
          const responses = await Promise.allSettled(Array.from({ length: 8 }, () => client.exchange()));
          for (const response of responses) {
            if (response.status === 'fulfilled' && response.value.status === 200) answered += 1;
            else failed += 1;
          }
          await sleep(2);
        }
      })();
      await until('the load runs', () => answered > 16);

      await hurt(edge, fault);
      await until('the worker is replaced', async () => (await edge.metrics()).sum('lychgate_shard_restarts_total') === 1, 20_000);
      const before = answered;
      await until('requests are answered again', () => answered > before + 16, 20_000);
      isOver = true;
      await load;

      t.equal(failed, 0, `${answered} answered`);
      t.same(await long, { bytes: total, sha256: pourDigest(total) }, 'the body in flight is whole');
      t.notOk(client.session.closed, 'the connection lives');
      t.equal((await edge.metrics()).sum('lychgate_handshakes_total', { outcome: 'completed' }) || 1, 1, 'nobody connected again');
    },
  );
}

t.test('heads that waited for the dead worker are decided by its successor', { skip: missingAddon, timeout: 60_000 }, async (t) => {
  const origin = await startH2Origin(t, answers('ok'));
  const edge = await startEdge(t, { backends: [origin.url], env: { LYCHGATE_TEST_FAULTS: '1' } });
  const client = await connectH3(t, edge.port);
  await client.exchange();
  await hurt(edge, 'throw', 'decide');
  const responses = await Promise.all(Array.from({ length: 10 }, () => client.exchange()));
  t.ok(responses.every((response) => response.status === 200));
});

async function hurt(edge: Edge, fault: string, at = 'now'): Promise<void> {
  const response = await fetch(`${edge.admin}/v1/test/fault`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ shard: 0, fault, at }),
  });
  if (!response.ok) throw new Error(`fault refused: ${response.status} ${await response.text()}`);
}
