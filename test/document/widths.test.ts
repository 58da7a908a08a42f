/** Lines that people read are short enough to be read: prose of documents, and comments in code. */

import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import t from 'tap';

const ROOT = resolve(import.meta.dirname, '../..');
const IGNORED = /(^|\/)(node_modules|target|dist|coverage|\.tap|\.git|\.patched)(\/|$)/;

const PROSE_COLUMNS = 120;
const COMMENT_COLUMNS = 100;

t.test(`prose in documents has at most ${PROSE_COLUMNS} columns, tables and code excepted`, async (t) => {
  const pages = filesOf('**/*.md');
  t.ok(pages.includes('README.md') && pages.includes('docs/design/records.md'));
  for (const page of pages) {
    const tooWide = proseOf(read(page)).filter(([, line]) => isTooWide(line, PROSE_COLUMNS));
    t.strictSame(tooWide.map(placed(page)), []);
  }
});

t.test(`comments have at most ${COMMENT_COLUMNS} columns`, async (t) => {
  const files = filesOf('{src,test,bench,bin,docs}/**/*.{ts,mjs}').concat(filesOf('native/**/*.{rs,mjs}'));
  t.ok(files.includes('src/main.ts') && files.includes('native/core/src/lib.rs'));
  for (const file of files) {
    // Further in stand commands and drawings.
    const comments = linesOf(read(file)).filter(([, line]) => /^\s*(\/\/[/!]?(?![/!])|\/\*\*|\*(?= )) {0,3}\S/.test(line));
    const tooWide = comments.filter(([, line]) => isTooWide(line, COMMENT_COLUMNS));
    t.strictSame(tooWide.map(placed(file)), []);
  }
});

type Line = readonly [number: number, text: string];

function filesOf(pattern: string): string[] {
  return globSync(pattern, { cwd: ROOT, exclude: (path) => IGNORED.test(path) }).sort();
}

function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

function linesOf(text: string): Line[] {
  return text.split('\n').map((line, place) => [place + 1, line]);
}

/** Lines that are neither a table nor code, fenced or indented. */
function proseOf(text: string): Line[] {
  let isFenced = false;
  return linesOf(text).filter(([, line]) => {
    const isFence = /^\s*```/.test(line);
    if (isFence) isFenced = !isFenced;
    return !isFence && !isFenced && !/^(\||#| {4})/.test(line);
  });
}

/** One word, or one piece of code, may be wider: there is no place to break it. */
function isTooWide(line: string, columns: number): boolean {
  const words = line.trim().match(/(`[^`]*`|[^\s`])+/g) ?? [];
  const marks = /^([-*+>]|\/\/[/!]?|\/\*\*|\*\/|\d+\.)$/;
  return line.length > columns && words.filter((word) => !marks.test(word)).length > 1;
}

function placed(file: string): (line: Line) => string {
  return ([number, line]) => `${file}:${number} has ${line.length} columns`;
}
