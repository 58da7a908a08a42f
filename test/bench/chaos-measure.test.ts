/** The figures of the chaos table, from made-up arrivals and answers. */

import t from 'tap';
import type { Sample } from '../../bench/chaos/load.ts';
import { measure } from '../../bench/chaos/measure.ts';

/** A request each 10 ms from 0 to 9 s; the backend is bad from 2 s to 5 s. */
function observe(isBad: (time: number) => boolean, answer: (time: number) => Partial<Sample> | null) {
  const times = Array.from({ length: 900 }, (_, place) => place * 10);
  const samples = times.flatMap((startMs) => {
    const part = answer(startMs);
    return part === null ? [] : [{ startMs, status: 200, durationMs: 5, ...part }];
  });
  const arrivals = [times.filter(isBad), times.filter((time) => !isBad(time))];
  return measure({ badMs: 2_000, healedMs: 5_000, endMs: 9_000, arrivals, load: { planned: times.length, samples } });
}

t.test('the share kept is that of the fault alone, and the time to calm counts from its beginning', async (t) => {
  // Every second request goes to the backend until a second into the fault, then none until a
  // second after healing.
  const figures = observe(
    (time) => time % 20 === 0 && (time < 3_000 || time >= 6_000),
    () => ({}),
  );
  t.ok(Math.abs(figures.keptShare - 1 / 6) < 0.01, `kept ${figures.keptShare}`);
  t.equal(figures.attemptsPerRequest, 1);
  t.ok(figures.calmAfterMs !== null && figures.calmAfterMs >= 800 && figures.calmAfterMs <= 1_000, `calm ${figures.calmAfterMs}`);
  t.ok(figures.backAfterMs !== null && figures.backAfterMs >= 500 && figures.backAfterMs <= 1_000, `back ${figures.backAfterMs}`);
  t.equal(figures.errors, 0);
});

t.test('a backend that keeps its share is never calm, and one that gets none back is never back', async (t) => {
  t.equal(
    observe(
      (time) => time % 20 === 0,
      () => ({}),
    ).calmAfterMs,
    null,
  );
  t.equal(
    observe(
      (time) => time < 2_000,
      () => ({}),
    ).backAfterMs,
    null,
  );
});

t.test('resets, refusals and silence are errors by kind, those before the fault are not', async (t) => {
  const { errors, errorsBy } = observe(
    () => false,
    (time) => {
      if (time === 1_000 || time === 2_000) return { status: 0 };
      if (time === 2_010) return { status: 503 };
      if (time === 2_020) return { status: 404 };
      return time === 2_030 ? null : {};
    },
  );
  t.same(errorsBy, { reset: 1, 503: 1, unanswered: 1 });
  t.equal(errors, 3);
});

t.test('latencies are those of requests sent during the fault', async (t) => {
  const { p50Ms, p99Ms } = observe(
    () => false,
    (time) => ({ durationMs: time < 2_000 || time >= 5_000 ? 900 : time % 100 === 0 ? 300 : 7 }),
  );
  t.equal(p50Ms, 7);
  t.equal(p99Ms, 300);
});
