/** What an edge with ten thousand routes needs of memory, when it is ready and after reloads. */

import t from 'tap';
import { routesFile } from '../../bench/routes-file.ts';
import { certificates } from '../support/certificates.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { residentBytes } from '../support/process.ts';
import { reload } from '../support/reload.ts';
import { until } from '../support/wait.ts';

const MIB = 2 ** 20;
const MANY = 10_000;

t.setTimeout(180_000);

function fileOf(routes: number, round = 0): string {
  const { chainPath, keyPath } = certificates();
  return routesFile({ routes, chainPath, keyPath, shards: 2, round });
}

t.test('an edge with ten thousand routes has less than 150 MiB more in memory than one with ten', { skip: missingAddon }, async (t) => {
  const few = await startEdge(t, { backends: [], text: fileOf(10) });
  const fewBytes = residentBytes(few.pid);
  await few.stop();
  const many = await startEdge(t, { backends: [], text: fileOf(MANY) });
  const moreMib = (residentBytes(many.pid) - fewBytes) / MIB;
  t.ok(moreMib < 150, `${moreMib.toFixed(0)} MiB more`);
});

t.test('what the reading of ten thousand routes takes is given back after a reload', { skip: missingAddon }, async (t) => {
  const edge = await startEdge(t, { backends: [], text: fileOf(MANY) });
  const readyBytes = residentBytes(edge.pid);
  for (let round = 1; round <= 5; round++) {
    edge.rewrite({ text: fileOf(MANY, round) });
    t.equal((await reload(edge)).result, 'applied');
  }
  // What was read before is five snapshots by now, in each shard.
  await until('memory is given back', () => residentBytes(edge.pid) - readyBytes < 120 * MIB);
});
