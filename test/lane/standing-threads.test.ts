import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import { standStanding } from '../support/standing.ts';

t.test('of several threads exactly one tells each change of state', async (t) => {
  const threads = 3;
  const backends = Array.from({ length: 4 }, () => ({}));
  const breaker = { consecutive: 2, ejectMs: 3, maxEjectMs: 3, successes: 1 };
  const { snapshot, table, backend } = standStanding({ backends, breaker, maxEjected: 1 });
  const gate = new SharedArrayBuffer(4);
  const told = await Promise.all(
    Array.from({ length: threads }, async (_, thread) => {
      const worker = new Worker(new URL('../support/standing-worker.ts', import.meta.url), {
        workerData: { snapshot, table, gate, threads, seed: thread + 1, turns: 80_000 },
      });
      // Listened for from the start: on a busy machine it may come before the message was looked
      // at.
      const ended = once(worker, 'exit');
      const [counts] = (await once(worker, 'message')) as [Record<string, number>];
      await ended;
      return counts;
    }),
  );
  const sum = (code: string) => told.reduce((all, counts) => all + (counts[code] ?? 0), 0);
  const views = snapshot.backends.map(({ slot }) => backend(slot));
  const now = (state: string) => views.filter((view) => view.state === state).length;
  const opened = sum('breaker_opened');
  t.ok(opened > 1_000, `${opened} ejections`);
  t.equal(
    opened,
    views.reduce((all, { ejections }) => all + ejections, 0),
    'as many as the table counted',
  );
  t.equal(sum('breaker_half_opened'), opened - now('open'), 'each but the last of a backend that is open still was half-opened');
  t.ok(sum('breaker_closed') <= sum('breaker_half_opened'));
  t.ok(views.every(({ probesInFlight }) => probesInFlight >= 0 && probesInFlight <= breaker.successes));
});
