/**
 * Access lines that standard output does not take are counted as lost, by reason, and told on
 * standard error; traffic goes on.
 */

import { closeSync, openSync } from 'node:fs';
import t from 'tap';
import { missingAddon } from '../support/edge.ts';
import { startUnheardEdge } from '../support/unheard-edge.ts';
import { until } from '../support/wait.ts';

t.test('lines are lost as closed when the reader has gone, and the edge goes on', { skip: missingAddon, timeout: 60_000 }, async (t) => {
  const edge = await startUnheardEdge(t, 'pipe');
  await edge.ask(3);
  await until('three lines are written', async () => (await edge.metrics()).sum('lychgate_access_lines_total') === 3);
  edge.child.stdout?.destroy();
  await edge.ask(5);
  const lost = async () => (await edge.metrics()).sum('lychgate_access_lines_dropped_total', { reason: 'closed' });
  await until('five lines are lost', async () => (await lost()) === 5);
  t.equal((await edge.metrics()).sum('lychgate_access_lines_total'), 3);
  await until('it is told', () =>
    edge.errors.some((line) => /lines of the log were lost: the reader of standard output has gone/.test(line)),
  );
  await edge.stop();
});

t.test('lines to a full disk are not counted as written, and told of at the end', { skip: missingAddon, timeout: 60_000 }, async (t) => {
  const full = openSync('/dev/full', 'w');
  const edge = await startUnheardEdge(t, full);
  closeSync(full);
  await edge.ask(5);
  await new Promise((resolve) => setTimeout(resolve, 300));
  t.equal((await edge.metrics()).sum('lychgate_access_lines_total'), 0);
  await edge.stop();
  t.match(edge.errors.join('\n'), /lines of the log were lost: the disk that standard output goes to is full/);
});
