/** What an edge with ten thousand routes needs of memory, when it is ready and after reloads. */

import t from 'tap';
import { routesFile } from '../../bench/routes-file.ts';
import { certificates } from '../support/certificates.ts';
import { connectH3 } from '../support/client/h3.ts';
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

t.test('no answer is half of one configuration and half of another while a thousand plans change', { skip: missingAddon }, async (t) => {
  const textOf = (round: number): string =>
    `claims:\n  more_fields: [x-more-${round}]\n${fileOf(2_000, round)}`.replace(
      '  - name: first\n',
      `  - name: first\n    response_headers:\n      set:\n        x-round: round ${round}\n`,
    );
  const edge = await startEdge(t, { backends: [], text: textOf(0) });
  const clients = await Promise.all(Array.from({ length: 4 }, () => connectH3(t, edge.port)));
  let isOver = false;
  const halves: string[] = [];
  const rounds = new Set<string>();
  const asking = clients.map(async (client) => {
    while (!isOver) {
      // The lane gives the body, and the plan that the reactor knows by its number the field.
      const { headers, text } = await client.exchange({ path: '/first' });
      if (headers['x-round'] !== text) halves.push(`${text} with ${String(headers['x-round'])}`);
      rounds.add(text);
    }
  });
  // More than a lane keeps, so numbers of plans are given again.
  for (let round = 1; round <= 20; round++) {
    edge.rewrite({ text: textOf(round) });
    t.equal((await reload(edge)).result, 'applied');
    t.equal((await clients[0]!.exchange({ path: '/first' })).text, `round ${round}`);
  }
  isOver = true;
  await Promise.all(asking);
  t.same(halves, []);
  t.ok(rounds.size > 15, `${rounds.size} configurations were seen`);
});
