/**
 * The table of what HTTP asks of an intermediary: its numbers are those of its rows, and every test
 * that it names is there.
 */

import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import t from 'tap';

const ROOT = resolve(import.meta.dirname, '../..');
const PAGE = readFileSync(join(ROOT, 'docs/design/messages.md'), 'utf8');

/** Rows of the tables by RFC: section, requirement, what the edge does, test or reason. */
const rows = PAGE.split('\n')
  .filter((line) => line.startsWith('| §'))
  .map((line) => line.slice(2, -2).split(' | '));

t.test('the numbers at the top are those of the rows', async (t) => {
  const [, ...told] =
    /^(\d+) rows: (\d+) are met, (\d+) of them since they were mended; (\d+) are otherwise on purpose\. So (\d+) failed.*? by the code: (\d+)\./m.exec(
      PAGE.replaceAll(/(?<=\w|\.)\n(?=\w)/g, ' '),
    ) ?? [];
  const isUnmet = (row: string[]): boolean => row[2]?.startsWith('**otherwise**') === true;
  const unmet = rows.filter(isUnmet);
  const mended = rows.filter((row) => row[2]?.startsWith('(mended)'));
  const untested = rows.filter((row) => row[3] === 'no test' && !isUnmet(row));
  const met = rows.length - unmet.length;
  t.strictSame(told.map(Number), [rows.length, met, mended.length, unmet.length, unmet.length + mended.length, untested.length]);
  const listed = PAGE.split('\n').filter((line) => /^\| RFC \d+ §/.test(line));
  t.strictSame(
    listed.map((line) => line.slice(2, -2).split(' | ').slice(1)),
    unmet.map((row) => [row[1], row[2]?.replace('**otherwise**: ', '')]),
    'and the list at the top has those that are otherwise',
  );
});

t.test('every row has four cells and its tests are there', async (t) => {
  for (const row of rows) {
    t.equal(row.length, 4, row.join(' | '));
    for (const [, path = '', name = ''] of (row[3] ?? '').matchAll(/`([^`]+)` "([^"]+)"/g)) {
      const text = existsSync(join(ROOT, path)) ? readFileSync(join(ROOT, path), 'utf8') : '';
      t.ok(text.includes(path.endsWith('.rs') ? `fn ${name}(` : name), `${path}: ${name}`);
    }
  }
});
