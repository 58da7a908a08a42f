import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { pageWith } from '../../native/generate/page.ts';
import { madeFiles } from '../../native/generate/records.ts';
import { REASONS_FILE, RECORDS_FILE, readReasons, readRecords } from '../../native/generate/table.ts';

const root = join(import.meta.dirname, '../..');
const present = (file: string) => readFileSync(join(root, file), 'utf8');

t.test('what is made of the tables is what stands in both languages and on the page', async (t) => {
  for (const [file, text] of madeFiles()) t.equal(present(file), text, `${file} (npm run records)`);
});

/** A table with one mistake in it: `from` becomes `to`. */
function refused(t: Test, file: string, read: (text: string) => unknown, mistakes: readonly (readonly [string, string, RegExp])[]): void {
  const whole = present(file);
  t.ok(read(whole));
  for (const [from, to, complaint] of mistakes) {
    t.equal(whole.split(from).length, 2, `'${from}' stands there once`);
    const message = new RegExp(`^${file.replaceAll('.', '\\.')}.*${complaint.source}`);
    t.throws(() => read(whole.replace(from, to)), { message }, `${from} → ${to}`);
  }
}

t.test('a table of records with gaps, overlaps or names given twice is refused, and said where', async (t) => {
  refused(t, RECORDS_FILE, readRecords, [
    ['{ at: 24, name: age_us', '{ at: 25, name: age_us', /, Head: word 25 stands where word 24 has to/],
    ['{ at: 18, name: field_count, type: u32', '{ at: 18, name: field_count, type: u64', /, Head: word 19 stands where word 20 has to/],
    [
      '{ at: 12, name: max_body_bytes, type: f64',
      '{ at: 12, name: max_body_bytes, type: u32',
      /, Forward: word 14 stands where word 13 has to/,
    ],
    ['name: loser_us', 'name: loser_slot', /, Completion: the name loser_slot is given twice/],
    ['kind: 21', 'kind: 20', /: the kind 20 is given twice/],
    ['prefix: COMPLETED', 'prefix: HEAD', /: the name HEAD_\w+ is given twice/],
    ['- { name: LAST_HOP', '- { name: UNDERSCORE', /: the name HEAD_UNDERSCORE is given twice/],
    ['{ at: 4, name: error_code, type: u32', '{ at: 4, name: error_code, type: f32', /, error_code: type is "f32", not one of u32, /],
    ['name: wait_ms, type: u32', 'name: wait_ms, tpye: u32', /, wait_ms: 'tpye' is not known here/],
    ['byte: 1052672', 'byte: 1052680', /: reactor_ring begins at byte 1052680, not where what stands before it ends, at 1052672/],
    ['bytes: 262144', 'bytes: 262143', /, reactor_ring: bytes is 262143, not a power of two/],
    ['{ word: 64, name: waiting', '{ word: 1024, name: waiting', /, waiting: word is 1024, which lies in the first ring/],
    ['{ word: 64, name: waiting', '{ word: 48, name: waiting', /: the word 48 is given twice/],
  ]);
});

t.test('a number of 64 bits lies on 8 bytes', async (t) => {
  const moved = present(RECORDS_FILE).replace(
    '{ at: 9, name: duration_us, type: u32, is: µs since the decision }\n      - { at: 10',
    '{ at: 9',
  );
  t.throws(() => readRecords(moved), { message: /, AttemptFailed: word 9 is an f64, which lies on 8 bytes: on an even word/ });
});

t.test('a registry of reasons with a number or a code given twice is refused', async (t) => {
  refused(t, REASONS_FILE, readReasons, [
    ['number: 75', 'number: 74', /: budget_exhausted has the number 74, after 74: numbers rise/],
    ['number: 75', 'number: 128', /, budget_exhausted: number is 128, not a whole number from 0 to 127/],
    ['code: brownout', 'code: tenant_full', /: the code tenant_full is given twice/],
    ['code: overloaded, side: internal', 'code: overloaded, side: edge', /, overloaded: side is "edge", not one of none, downstream, /],
  ]);
});

t.test('a page without a place for a table, or with one for a table that is not, is refused', async (t) => {
  const page = present('docs/design/records.md');
  const make = (text: string) => pageWith(text, readRecords(), readReasons());
  t.equal(make(page), page);
  t.throws(() => make(page.replace('<!-- table: Late -->', '')), /no place for the table Late/);
  t.throws(() => make(page.replace('<!-- table: Late -->', '<!-- table: Later -->')), /a place for the table Later, which is not known/);
});
