/**
 * Standard output on a full disk: lines are lost, traffic is not, and the edge ends when it is told
 * to.
 */

import { closeSync, openSync } from 'node:fs';
import t from 'tap';
import { missingAddon } from '../support/edge.ts';
import { startUnheardEdge } from '../support/unheard-edge.ts';

t.test('an edge whose log has no room serves, drains and exits 0', { skip: missingAddon, timeout: 40_000 }, async (t) => {
  const full = openSync('/dev/full', 'w');
  const edge = await startUnheardEdge(t, full);
  closeSync(full);
  await edge.ask(10);
  await edge.stop(10_000);
});
