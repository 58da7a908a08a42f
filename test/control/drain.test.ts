import t from 'tap';
import { type DrainOptions, drain } from '../../src/control/edge/drain.ts';
import { createLog } from '../../src/observe/log.ts';

const log = createLog({ level: 'silent', isText: false, stream: { write() {} } }).target('drain');

/**
 * Runs a drain on a clock of its own; `openAt` and `connectedAt` say how many exchanges and
 * connections are open at a time.
 */
async function run(options: DrainOptions, openAt: (ms: number) => number, connectedAt: (ms: number) => number = () => 0) {
  let now = 1_000;
  const steps: string[] = [];
  const result = await drain(
    'SIGTERM',
    {
      begin: () => steps.push(`begin ${now - 1_000}`),
      goAway: () => steps.push(`goaway ${now - 1_000}`),
      exchanges: () => openAt(now - 1_000),
      connections: () => connectedAt(now - 1_000),
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

t.test('what the last exchange sent is acknowledged before the drain ends', async (t) => {
  const { result } = await run(
    { delayMs: 0, timeoutMs: 30_000 },
    (ms) => (ms < 1_000 ? 1 : 0),
    (ms) => (ms < 1_700 ? 1 : 0),
  );
  t.ok(result.ms >= 1_700 && result.ms < 1_800, `${result.ms}`);
});

t.test('a client that acknowledges nothing holds the drain up for three seconds at most', async (t) => {
  const { result } = await run(
    { delayMs: 0, timeoutMs: 30_000 },
    () => 0,
    () => 1,
  );
  t.equal(result.cut, 0);
  t.ok(result.ms >= 3_000 && result.ms < 3_100, `${result.ms}`);
});

t.test('the deadline holds for acknowledgements too', async (t) => {
  const { result } = await run(
    { delayMs: 0, timeoutMs: 500 },
    () => 0,
    () => 1,
  );
  t.ok(result.ms >= 500 && result.ms < 600, `${result.ms}`);
});
