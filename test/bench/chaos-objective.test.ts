/**
 * The objective of `make chaos`: result files that meet it and that do not, judged by the program
 * itself.
 */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';

const program = join(import.meta.dirname, '../../bench/chaos/objective.ts');

const PLAYED = { requests: 3_000, errors: 0, p99Ms: 40 };
const OVERLOAD = { goodPerSecond: 590, peakPerSecond: 595, honestShare: 0.6, honestP99Ms: 60 };
const FLOOD = { goodPerSecond: 300, peakPerSecond: 590, honestShare: 1, honestP99Ms: 25 };
const CALM = { requests: 125_000, refused: 0 };

/** What a run of all scenarios came to, with what is different. */
function resultsOf(name: string, given: { slow?: object; overload?: object; defaults?: object; flood?: object; calm?: object } = {}) {
  const { slow, overload, defaults, flood, calm } = given;
  return {
    [name]: {
      version: '0.1.0',
      speaks: '',
      scenarios: { killed: [PLAYED], slow: [PLAYED, { ...PLAYED, ...slow }] },
      overload: { overload: [{ ...OVERLOAD, ...overload }], defaults: [{ ...OVERLOAD, ...defaults }], flood: [{ ...FLOOD, ...flood }] },
      calm: [{ ...CALM, ...calm }],
    },
  };
}

/** Exit code and what is said. */
function judge(t: Test, results: object): { code: number | null; said: string } {
  const folder = mkdtempSync(join(tmpdir(), 'lychgate-objective-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'chaos.json');
  writeFileSync(path, JSON.stringify({ when: '', machine: '', stage: {}, results }));
  const ran = spawnSync(process.execPath, [program, path], { encoding: 'utf8' });
  return { code: ran.status, said: ran.stderr };
}

t.test('a run in which everything is as it has to be passes', async (t) => {
  t.same(judge(t, resultsOf('lychgate')), { code: 0, said: '' });
});

const SHORT: readonly [what: string, given: Parameters<typeof resultsOf>[1], said: RegExp][] = [
  ['one repetition with too many errors', { slow: { errors: 4 } }, /slow: success is 99\.87 %, and has to be 99\.9 % or more/],
  ['late answers while a backend is slow', { slow: { p99Ms: 1_200 } }, /slow: p99 is 1200 ms, and has to be 1000 ms or less/],
  ['no answer at all', { slow: { requests: 0 } }, /slow: success is 0\.00 %/],
  ['overload that costs more than a fifth', { overload: { goodPerSecond: 470 } }, /overload: good answers at 5 × beside 1 × is 79\.0 %/],
  ['the same with nothing configured', { defaults: { goodPerSecond: 0 } }, /defaults: good answers at 5 × beside 1 × is 0\.0 %/],
  ['a peak of nothing', { defaults: { goodPerSecond: 0, peakPerSecond: 0 } }, /defaults: good answers/],
  ['a client that feels the flood of another', { flood: { honestShare: 0.9 } }, /flood: low-rate client served is 90\.0 %/],
  ['one that waits for it', { flood: { honestP99Ms: 1_500 } }, /flood: p99 of the low-rate client is 1500 ms/],
  [
    'a single request turned away without need',
    { calm: { refused: 1 } },
    /calm: requests that were not served is 1 of 125000, and has to be 0/,
  ],
];

for (const [what, given, said] of SHORT) {
  t.test(`the run fails: ${what}`, async (t) => {
    const judged = judge(t, resultsOf('lychgate', given));
    t.equal(judged.code, 1);
    t.match(judged.said, said);
    t.equal(judged.said.trim().split('\n').length, 1, 'nothing else is short');
  });
}

t.test('peers are under no objective', async (t) => {
  t.same(judge(t, resultsOf('envoy', { slow: { errors: 2_000 }, overload: { goodPerSecond: 0 }, calm: { refused: 9 } })), {
    code: 0,
    said: '',
  });
});

t.test('a cell without figures is one that failed', async (t) => {
  const results = resultsOf('lychgate');
  t.match(judge(t, { lychgate: { ...results['lychgate'], scenarios: { killed: [] } } }), { code: 1, said: /killed: there are no figures/ });
});
