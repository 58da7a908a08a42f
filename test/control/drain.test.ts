import t from 'tap';
import { type DrainOptions, drain } from '../../src/control/drain.ts';
import { createLog } from '../../src/observe/log.ts';

const log = createLog({ level: 'silent', isText: false, stream: { write() {} } }).target('drain');

/** Runs a drain on a clock of its own; `openAt` says how many exchanges are open at a time. */
async function run(options: DrainOptions, openAt: (ms: number) => number) {
  let now = 1_000;
  const steps: string[] = [];
  const result = await drain(
    'SIGTERM',
    {
      begin: () => steps.push(`begin ${now - 1_000}`),
      goAway: () => steps.push(`goaway ${now - 1_000}`),
      exchanges: () => openAt(now - 1_000),
      log,
      nowMs: () => now,
      sleep: async (ms) => {
        now += ms;
      },
    },
    options,
  );
  return { steps, result };
}

t.test('readiness turns false first and GOAWAY follows after the delay', async (t) => {
  const { steps } = await run({ delayMs: 250, timeoutMs: 1_000 }, () => 0);
  t.same(steps, ['begin 0', 'goaway 250']);
});

t.test('the drain ends when the last exchange has ended', async (t) => {
  const { result } = await run({ delayMs: 0, timeoutMs: 30_000 }, (ms) => (ms < 5_000 ? 3 : 0));
  t.equal(result.cut, 0);
  t.ok(result.ms >= 5_000 && result.ms < 5_100, `${result.ms}`);
});

t.test('the drain ends at its deadline and tells how many exchanges are cut', async (t) => {
  const { result } = await run({ delayMs: 100, timeoutMs: 2_000 }, () => 7);
  t.equal(result.cut, 7);
  t.ok(result.ms >= 2_100 && result.ms < 2_200, `${result.ms}`);
});
