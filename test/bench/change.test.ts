/**
 * The comparison of what is lost through a change: clients see what is lost, and of the edge
 * nothing is.
 */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import t from 'tap';
import { startClients } from '../../bench/change/clients.ts';
import { lychgate } from '../../bench/change/peers/lychgate.ts';
import { play } from '../../bench/change/play.ts';
import { certificatesTable, changesTable, isNothingLost, type Results } from '../../bench/change/report.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { until } from '../support/wait.ts';

t.setTimeout(180_000);

t.test('certificates and routes change, and the clients of the comparison lose nothing of the edge', { skip: missingAddon }, async (t) => {
  const folder = t.testdir();
  const options = { folder, changes: 3, intervalMs: 2_000, afterSeconds: 1 };
  const results: Results = [{ name: 'lychgate', version: '0', figures: {} }];
  for (const kind of ['certificates', 'routes'] as const) {
    const figures = await play(lychgate, kind, options);
    Object.assign(results[0]!.figures, { [kind]: figures });
    t.equal(figures.seenAfter.length, 3, `${kind}: each change is seen`);
    t.ok(figures.losses.gets > 100);
    t.ok(figures.losses.connections > 5);
  }
  t.ok(isNothingLost(results), JSON.stringify(results));
  t.match(results[0]?.figures.certificates?.broken, {
    isRefused: true,
    isOldServed: true,
    text: /the key does not belong to the certificate/,
  });
  t.match(certificatesTable(results), /\| lychgate 0 \| watched files \| 0 of \d+ \| 0, 0 of 4 \| 0, 0, 0 \| 0 of \d+ \|/);
  t.match(changesTable(results, ['routes']), /\| routes \| lychgate \| reload \| 0 of /);
});

t.test('clients of a proxy that dies count what they lost', { skip: missingAddon }, async (t) => {
  const backend = fork(join(import.meta.dirname, '../../bench/change/backend.ts'), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    execArgv: [],
  });
  t.teardown(() => backend.kill());
  const [{ h2Port }] = (await once(backend, 'message')) as [{ h2Port: number }];
  const edge = await startEdge(t, { backends: [`h2c://127.0.0.1:${h2Port}`], isLeakChecked: false });
  const clients = await startClients({ port: edge.port, seconds: 4, downloads: 2, getsPerSecond: 50, connectEveryMs: 200 });
  await until('requests are answered', () => clients.losses.gets > 30);
  t.equal(clients.losses.getsFailed, 0);
  edge.child.kill('SIGKILL');
  const losses = await clients.end();
  t.equal(losses.downloadsHung + losses.downloadsCut, 2, 'no download is whole');
  t.ok(losses.getsFailed > 10, `${losses.getsFailed} of ${losses.gets} requests failed`);
  t.ok(losses.connectionsFailed > 0);
  t.equal(losses.closed + losses.hung, 1, 'and the kept connection is dead');
});
