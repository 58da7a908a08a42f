import t from 'tap';
import type { HealthSnapshot } from '../../src/config/snapshot/standing.ts';
import { createChecker } from '../../src/control/health/checker.ts';

const HEALTH: HealthSnapshot = {
  protocol: 'h2',
  method: 'GET',
  path: '/',
  host: '',
  port: 0,
  intervalMs: 10_000,
  failingIntervalMs: 1_000,
  jitter: 0.1,
  timeoutMs: 2_000,
  healthyAfter: 2,
  unhealthyAfter: 3,
  statuses: [200],
  body: '',
};

/** A checker whose clock is moved by hand; `answers` says what the next checks find. */
function stand(given: Partial<HealthSnapshot> = {}, random = 0.5) {
  const answers: (string | undefined)[] = [];
  const changes: string[] = [];
  const waits: number[] = [];
  const expected: number[] = [];
  let due: (() => void) | undefined;
  let nowMs = 1_000;
  const checker = createChecker({
    health: { ...HEALTH, ...given },
    check: async () => {
      nowMs += 7;
      return answers.shift();
    },
    onChange: (state, before, failure) => void changes.push(`${before} → ${state} ${failure}`.trim()),
    onExpected: (upAtMs) => void expected.push(upAtMs - nowMs),
    random: () => random,
    nowMs: () => nowMs,
    after: (ms, call) => {
      waits.push(ms);
      due = call;
      return () => {
        due = undefined;
      };
    },
  });
  return {
    checker,
    changes,
    waits,
    expected,
    isDue: () => due !== undefined,
    /** Makes checks that find `found`, one after the other. */
    async run(...found: (string | undefined)[]) {
      for (const one of found) {
        answers.push(one);
        nowMs += waits.at(-1) ?? 0;
        const call = due;
        due = undefined;
        call?.();
        await new Promise(setImmediate);
      }
    },
  };
}

t.test('the first result counts at once, later ones after as many in a row as are configured', async (t) => {
  const good = stand();
  good.checker.start(0);
  t.equal(good.checker.status().state, 'unknown');
  await good.run('');
  t.match(good.checker.status(), { state: 'up', failure: null, latencyMs: 7, inRow: 1 });
  await good.run('status 500', 'status 500', '', 'status 500', 'status 500');
  t.equal(good.checker.status().state, 'up');
  await good.run('status 500');
  t.match(good.checker.status(), { state: 'down', failure: 'status 500', inRow: 3 });
  await good.run('', 'timeout', '');
  t.equal(good.checker.status().state, 'down');
  await good.run('');
  t.strictSame(good.changes, ['unknown → up', 'up → down status 500', 'down → up']);
  const bad = stand();
  bad.checker.start(0);
  await bad.run('connect ECONNREFUSED');
  t.strictSame(bad.changes, ['unknown → down connect ECONNREFUSED']);
});

t.test('checks come sooner while one fails or the state is about to change', async (t) => {
  const { checker, run, waits } = stand();
  checker.start(40);
  await run('', '', 'timeout', '', '');
  t.strictSame(waits, [40, 5_000, 10_000, 1_000, 10_000, 10_000], 'the second comes after a random part of the interval');
  await run('a', 'b', 'c', 'd', '', '');
  t.strictSame(waits.slice(6), [1_000, 1_000, 1_000, 1_000, 1_000, 10_000]);
});

t.test('waits are moved at random by the jitter', async (t) => {
  for (const [random, waitMs] of [
    [0, 9_000],
    [0.999999, 11_000],
  ] as const) {
    const { checker, run, waits } = stand({}, random);
    checker.start(0);
    await run('', '');
    t.ok(Math.abs(waits.at(-1)! - waitMs) < 1);
  }
});

t.test('a backend without an address is not judged, and asked for again soon', async (t) => {
  const { checker, run, waits, changes } = stand();
  checker.start(0);
  await run(undefined, undefined);
  t.match(checker.status(), { state: 'unknown', checkedAtMs: 0 });
  t.strictSame(waits, [0, 1_000, 1_000]);
  t.strictSame(changes, []);
});

t.test('a stopped checker has no timer, and what a check finds meanwhile counts no more', async (t) => {
  const { checker, run, isDue, changes } = stand();
  checker.start(0);
  await run('');
  t.ok(isDue());
  await checker.stop();
  t.notOk(isDue());
  const late = stand();
  late.checker.start(0);
  const checked = late.run('bad');
  await late.checker.stop();
  await checked;
  t.notOk(late.isDue());
  t.strictSame([...changes, ...late.changes], ['unknown → up']);
});

t.test('while it is down it says how long the checks that are missing will take', async (t) => {
  const { checker, run, expected } = stand({ healthyAfter: 3, failingIntervalMs: 200, jitter: 0 });
  checker.start(0);
  await run('gone');
  t.strictSame(expected, [600], 'the next check and two more');
  await run('', '');
  t.strictSame(expected.slice(1), [400, 200]);
  await run('', '', '');
  t.equal(expected.length, 3, 'nothing once it is up');
  await run('gone', 'gone', 'gone');
  t.strictSame(expected.slice(3), [600]);
});
