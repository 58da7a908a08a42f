import fc from 'fast-check';
import t from 'tap';
import { SLICES } from '../../src/lane/standing/window.ts';
import { standStanding } from '../support/standing.ts';

t.test('a rate opens the breaker only above the floor of requests', async (t) => {
  const stand = standStanding({ breaker: { consecutive: 0, rate: 0.5, minRequests: 20, windowMs: 10_000 } });
  for (let i = 0; i < 19; i++) stand.fail(0);
  t.ok(stand.standing.admits(0), '19 of 19 are too few');
  t.match(stand.backend(0), { windowOutcomes: 19, windowFailures: 19 });
  stand.fail(0);
  t.notOk(stand.standing.admits(0));
});

t.test('a share of failures below the rate opens nothing', async (t) => {
  const stand = standStanding({ breaker: { consecutive: 0, rate: 0.5, minRequests: 20 } });
  for (let i = 0; i < 1_000; i++) {
    stand.succeed(0);
    if (i % 2 === 1) stand.fail(0);
  }
  t.ok(stand.standing.admits(0));
});

t.test('a count of failures opens the breaker whatever the rate', async (t) => {
  const stand = standStanding({ breaker: { consecutive: 0, count: 10, windowMs: 10_000 } });
  for (let i = 0; i < 9; i++) {
    for (let j = 0; j < 1_000; j++) stand.succeed(0);
    stand.fail(0);
  }
  t.ok(stand.standing.admits(0));
  stand.fail(0);
  t.notOk(stand.standing.admits(0));
});

t.test('the window rolls by time', async (t) => {
  const stand = standStanding({ breaker: { consecutive: 0, count: 10, windowMs: 10_000 } });
  for (let i = 0; i < 100; i++) {
    stand.fail(0);
    stand.pass(1_200);
  }
  t.ok(stand.standing.admits(0), 'never more than nine in ten seconds');
  t.ok(stand.backend(0).windowFailures <= 9);
  stand.pass(10_000);
  t.match(stand.backend(0), { windowOutcomes: 0, windowFailures: 0 });
});

t.test('a closed breaker begins with an empty window', async (t) => {
  const stand = standStanding({ breaker: { consecutive: 0, count: 5, windowMs: 60_000, successes: 1 } });
  for (let i = 0; i < 5; i++) stand.fail(0);
  stand.pass(1_000);
  t.ok(stand.standing.admits(0) && stand.standing.attempted(0));
  stand.succeed(0, true);
  stand.fail(0);
  t.ok(stand.standing.admits(0));
  t.match(stand.backend(0), { state: 'closed', windowOutcomes: 1, windowFailures: 1 });
});

t.test('the breaker opens exactly where a plain model of the windows says so', async () => {
  const windowMs = 1_000;
  const sliceMs = windowMs / SLICES;
  const step = fc.record({ afterMs: fc.integer({ min: 0, max: 300 }), isFailure: fc.boolean() });
  const terms = fc.record({
    consecutive: fc.constantFrom(0, 4, 7),
    rate: fc.constantFrom(0, 0.3, 0.6),
    minRequests: fc.integer({ min: 1, max: 15 }),
    count: fc.constantFrom(0, 3, 8),
  });
  fc.assert(
    fc.property(terms, fc.array(step, { maxLength: 80 }), (breaker, steps) => {
      const stand = standStanding({ breaker: { ...breaker, windowMs } });
      const seen: { slice: number; isFailure: boolean }[] = [];
      let inRow = 0;
      for (const { afterMs, isFailure } of steps) {
        stand.pass(afterMs);
        const slice = Math.floor(stand.nowMs / sliceMs);
        seen.push({ slice, isFailure });
        inRow = isFailure ? inRow + 1 : 0;
        if (isFailure) stand.fail(0);
        else stand.succeed(0);
        const window = seen.filter((outcome) => slice - outcome.slice < SLICES);
        const failures = window.filter((outcome) => outcome.isFailure).length;
        const opens =
          isFailure &&
          ((breaker.consecutive > 0 && inRow >= breaker.consecutive) ||
            (breaker.count > 0 && failures >= breaker.count) ||
            (breaker.rate > 0 && window.length >= breaker.minRequests && failures >= breaker.rate * window.length));
        if (stand.standing.admits(0) === opens) return false;
        if (opens) return true;
      }
      return true;
    }),
    { seed: 42, numRuns: 500 },
  );
});
