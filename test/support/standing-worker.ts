/**
 * A lane's standing in a thread of its own, on a table that others use at the same time; says how
 * often it told each note, and the most probes it saw.
 */

import { parentPort, workerData } from 'node:worker_threads';
import { NOTES } from '../../src/base/notes.ts';
import type { Snapshot } from '../../src/config/snapshot/snapshot.ts';
import { Random } from '../../src/lane/random.ts';
import { Standing } from '../../src/lane/standing/standing.ts';
import { NONE } from '../../src/record/layout.ts';

interface Orders {
  readonly snapshot: Snapshot;
  readonly table: SharedArrayBuffer;
  /** Int32 word: threads that are ready. */
  readonly gate: SharedArrayBuffer;
  readonly threads: number;
  readonly seed: number;
  readonly turns: number;
}

const { snapshot, table, gate, threads, seed, turns } = workerData as Orders;
const told: Record<string, number> = {};
const observer = {
  noted: (note: number) => {
    const { code } = NOTES[note]!;
    told[code] = (told[code] ?? 0) + 1;
  },
};
const standing = new Standing({ snapshot, table, observer: observer as never });
const random = new Random(seed);
const ready = new Int32Array(gate);
Atomics.add(ready, 0, 1);
while (Atomics.load(ready, 0) < threads);

const slots = snapshot.backends.length;
for (let turn = 0; turn < turns; turn++) {
  standing.begin(1_000_000 + turn);
  const slot = random.below(slots);
  if (!standing.admits(slot)) continue;
  const isProbe = standing.attempted(slot);
  if (random.below(3) === 0) standing.failed(slot, 39, isProbe);
  else standing.responded(slot, 200, NONE, NONE, isProbe);
}
parentPort?.postMessage(told);
