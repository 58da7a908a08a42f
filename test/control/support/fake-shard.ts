/**
 * A worker that stands in for `src/shard/shard.ts` in tests of the supervision: it obeys the same
 * orders without an addon. How its lives begin is chosen by the snapshot's generation: `sound` ones
 * are ready at once, `stillborn` ones throw before.
 */
import { threadId } from 'node:worker_threads';
import type { ShardOrder, ShardReport, ShardStart } from '../../../src/shard/port.ts';

export default function runFakeShard({ shard, port, snapshot, publication }: ShardStart): Promise<void> {
  const report = (message: ShardReport) => port.postMessage(message);
  if (snapshot.generation === 'stillborn') return Promise.reject(new Error('born dead'));
  let seen = publication.number;
  let isDrained = false;
  return new Promise((resolve) => {
    port.on('message', (order: ShardOrder) => {
      if (order.kind === 'ping') report({ kind: 'pong' });
      if (order.kind === 'publish') seen = order.publication.number;
      if (order.kind === 'apply') {
        seen = order.terms.publication.number;
        report({ kind: 'applied', serial: order.terms.serial });
      }
      if (order.kind === 'drain') isDrained = true;
      if (order.kind === 'sessions')
        report({
          kind: 'answer',
          question: order.question,
          json: JSON.stringify([{ slot: 0, waiting: 1, last_fault: '', sessions: [], shard, threadId, seen, isDrained }]),
        });
      if (order.kind === 'connections') report({ kind: 'refusal', question: order.question, message: 'no' });
      if (order.kind === 'fault') strike(order.fault);
      if (order.kind === 'stop') {
        port.close();
        resolve();
      }
    });
    report({ kind: 'ready', threadId });
  });
}

function strike(fault: string): void {
  if (fault === 'throw') throw new Error('ordered to throw');
  if (fault === 'exit') process.exit(3);
  if (fault === 'loop') for (;;);
  const hoard: unknown[] = [];
  for (;;) hoard.push(new Array(10_000).fill(hoard.length));
}
