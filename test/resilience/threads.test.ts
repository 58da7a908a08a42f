/**
 * Parts that share memory between threads: no token is given twice, and each change of a breaker is
 * told once.
 */

import { Worker } from 'node:worker_threads';
import t from 'tap';
import { createBreaker, createRateLimiter, createRetryBudget } from '../../src/resilience/index.ts';

const THREADS = 3;
const CALLS = 20_000;
const OPTIONS = {
  limiter: { requests: 1_000, perMs: 86_400_000 },
  budget: { ratio: 0, minPerSecond: 20 / 86_400, windowMs: 86_400_000 },
  breaker: { consecutive: 100, ejectMs: 86_400_000, maxEjectMs: 86_400_000 },
};

/** What each thread does: takes what it can, and fails until it is refused. */
const WORK = `
  import { parentPort, workerData } from 'node:worker_threads';
  const { createBreaker, createRateLimiter, createRetryBudget } = await import(workerData.library);
  const { memory, options, calls } = workerData;
  const opened = [];
  const limiter = createRateLimiter({ ...options.limiter, memory: memory.limiter });
  const budget = createRetryBudget({ ...options.budget, memory: memory.budget });
  const breaker = createBreaker({ ...options.breaker, memory: memory.breaker, onEvent: ({ event }) => opened.push(event) });
  let allowed = 0;
  let retries = 0;
  for (let i = 0; i < calls; i++) {
    if (limiter.take('one key').isAllowed) allowed += 1;
    if (i % 100 === 0 && budget.take()) retries += 1;
    if (breaker.allows()) breaker.attempt().failed();
  }
  parentPort.postMessage({ allowed, retries, opened: opened.filter((event) => event === 'breaker_opened').length });
`;

t.test('threads that share memory share limits, budgets and breakers', async (t) => {
  const limiter = createRateLimiter(OPTIONS.limiter);
  // The bucket is there before they come, as threads that make it at the same instant may make it
  // twice.
  t.ok(limiter.take('one key').isAllowed);
  const budget = createRetryBudget(OPTIONS.budget);
  const breaker = createBreaker(OPTIONS.breaker);
  const memory = { limiter: limiter.memory, budget: budget.memory, breaker: breaker.memory };
  const library = new URL('../../src/resilience/index.ts', import.meta.url).href;
  const workerData = { library, memory, options: OPTIONS, calls: CALLS };
  const url = new URL(`data:text/javascript,${encodeURIComponent(WORK)}`);
  const said = await Promise.all(
    Array.from({ length: THREADS }, () => {
      const worker = new Worker(url, { workerData, execArgv: ['--disable-warning=ExperimentalWarning'] });
      return new Promise<{ allowed: number; retries: number; opened: number }>((resolve, reject) => {
        worker.once('message', resolve);
        worker.once('error', reject);
      });
    }),
  );
  const sum = (of: 'allowed' | 'retries' | 'opened') => said.reduce((sum, thread) => sum + thread[of], 0);
  t.equal(sum('allowed'), 999);
  t.notOk(limiter.take('one key').isAllowed);
  t.equal(sum('opened'), 1);
  t.equal(breaker.state, 'open');
  t.equal(breaker.view().ejections, 1);
  t.ok(sum('retries') >= 20 && sum('retries') < 20 + THREADS, 'threads that ask at once may overdraw it by one each');
});
