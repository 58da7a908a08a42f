/**
 * Counts what the test runners said, so that nobody has to believe a runner's summary line.
 *
 *   tally.mjs FILE          the counts of one log; exit 1 when something failed
 *   tally.mjs --follow      reads a TAP stream: one line a file, and everything about what failed
 *   tally.mjs --sum FILE…   the closing line of all logs together: `N passed, N failed, N skipped`
 *
 * A TAP test is a point inside a file (indented by four); a file that failed or was skipped without
 * any counts as one. A cargo test is what `test result:` counts. Each log ends with a line
 * `exit N`; a runner that failed without a failed test is a failed test.
 */

import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    follow: { type: 'boolean', default: false },
    sum: { type: 'boolean', default: false },
    failed: { type: 'string', default: '0' },
  },
});

if (values.follow) await follow();
else report(positionals);

/** @param {string[]} files */
function report(files) {
  const total = { passed: 0, failed: Number(values.failed), skipped: 0 };
  for (const file of files) {
    const one = count(file);
    total.passed += one.passed;
    total.failed += one.failed;
    total.skipped += one.skipped;
  }
  console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
  process.exitCode = total.failed === 0 ? 0 : 1;
}

/** @param {string} file */
function count(file) {
  let text;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    console.error(`${file}: was not written, counted as a failure`);
    return { passed: 0, failed: 1, skipped: 0 };
  }
  const lines = text.split('\n');
  const sum = text.startsWith('TAP ') ? countTap(lines) : countCargo(lines);
  const exit = /^exit (\d+)$/m.exec(text.slice(-200))?.[1];
  if (exit !== '0' && sum.failed === 0) sum.failed = 1;
  return sum;
}

/** @param {string[]} lines */
function countTap(lines) {
  const sum = { passed: 0, failed: 0, skipped: 0 };
  let inside = { passed: 0, failed: 0, skipped: 0 };
  for (const line of lines) {
    const point = /^( {4})?(ok|not ok) \d+(.*)$/.exec(line);
    if (point === null) continue;
    const outcome = / # (SKIP|TODO)/i.test(point[3] ?? '') ? 'skipped' : point[2] === 'ok' ? 'passed' : 'failed';
    if (point[1] !== undefined) {
      inside[outcome] += 1;
      continue;
    }
    if (outcome === 'failed' && inside.failed === 0) inside.failed = 1;
    if (outcome === 'skipped' && inside.skipped === 0) inside.skipped = 1;
    sum.passed += inside.passed;
    sum.failed += inside.failed;
    sum.skipped += inside.skipped;
    inside = { passed: 0, failed: 0, skipped: 0 };
  }
  return sum;
}

/** @param {string[]} lines */
function countCargo(lines) {
  const sum = { passed: 0, failed: 0, skipped: 0 };
  for (const line of lines) {
    const found = /^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored/.exec(line);
    if (found === null) continue;
    sum.passed += Number(found[1]);
    sum.failed += Number(found[2]);
    sum.skipped += Number(found[3]);
  }
  return sum;
}

async function follow() {
  /** @type {string[]} */
  let block = [];
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY })) {
    block.push(line);
    if (!/^(not )?ok \d+/.test(line)) continue;
    if (line.startsWith('not ok')) console.log(block.join('\n'));
    else {
      console.log(line);
      for (const skipped of block.filter((one) => / {4}ok .*# SKIP/.test(one))) console.log(skipped);
    }
    block = [];
  }
  // The tail holds the runner's diagnostics of the last failure and its own failures.
  const rest = block.filter((line) => line !== '' && !/^(# (No coverage|\{|time=)|1\.\.|exit 0)/.test(line));
  if (rest.length > 0) console.log(rest.join('\n'));
}
