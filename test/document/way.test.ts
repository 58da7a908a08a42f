/**
 * The way of a GET, as docs/life-of-a-request.md has it: a table of functions in the order in which
 * they run. Each is written where the table says, and called by the function that the table names,
 * so the page can be followed without a search.
 */

import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import t from 'tap';

const ROOT = resolve(import.meta.dirname, '../..');
const PAGE = 'docs/life-of-a-request.md';
const HEADING = '## The way of a GET';
const MAX_FILES = 15;

interface Step {
  name: string;
  file: string;
  /**
   * The function that calls it; undefined where something else does, which the row says in words.
   */
  caller: string | undefined;
  /** Where that is, if several rows have its name. */
  callerFile: string | undefined;
}

const steps = stepsOf(read(PAGE));

t.test('the way of a GET is told in rows, from the first packet to the completion', async (t) => {
  t.ok(steps.length >= 20, `${steps.length} rows`);
  t.equal(steps[0]?.caller, undefined);
});

t.test(`it leads through at most ${MAX_FILES} files`, async (t) => {
  const files = new Set(steps.map(({ file }) => file));
  t.ok(files.size <= MAX_FILES, `${files.size}: ${[...files].join(' ')}`);
});

t.test('each function is written where the row says, and called by the one that it names, which stands in a row before', async (t) => {
  const files = new Map<string, string>();
  for (const { name, file, caller, callerFile } of steps) {
    t.ok(bodyOf(name, read(file)), `${name}() in ${file}`);
    if (caller !== undefined) {
      const from = callerFile ?? files.get(caller);
      if (!t.ok(from, `${caller}(), which calls ${name}(), stands before it`)) continue;
      t.match(bodyOf(caller, read(from!)), new RegExp(`\\b${name}(::<[^>]*>)?\\(`), `${caller}() of ${from} calls ${name}()`);
    }
    files.set(name, file);
  }
});

function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

/**
 * Rows of the section: number, function, file, the function that calls it and, where several have
 * that name, its file.
 */
function stepsOf(page: string): Step[] {
  const start = page.indexOf(`\n${HEADING}\n`);
  const section = page.slice(start + 1).split(/\n## /)[0] ?? '';
  return [...section.matchAll(/^\| *\d+ *\| *`(\w+)\(\)` *\| *`([^`]+)` *\| *(?:`(\w+)\(\)`(?: of `([^`]+)`)?)?/gm)].map((row) => ({
    name: row[1] ?? '',
    file: row[2] ?? '',
    caller: row[3],
    callerFile: row[4],
  }));
}

/**
 * What stands between the head of a function and the brace that ends it, which is as far in as the
 * head.
 */
function bodyOf(name: string, text: string): string {
  const lines = text.split('\n');
  const heads = lines.flatMap((line, place) =>
    new RegExp(`^\\s*(?:export |pub(?:\\([\\w:\\s]+\\))? |private |async |default )*(?:fn |function )?${name}(?:<.*>)?\\(`).test(line) &&
    !/;$/.test(line)
      ? [place]
      : [],
  );
  for (const place of heads) {
    const indent = /^\s*/.exec(lines[place] ?? '')?.[0] ?? '';
    const end = lines.findIndex((line, below) => below > place && line.startsWith(`${indent}}`));
    if (end > place) return lines.slice(place, end).join('\n');
  }
  return '';
}
