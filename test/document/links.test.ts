/**
 * What the documents point at is there: files behind links, headings behind anchors, and in the
 * pages that name code also paths, functions, metrics and keys. A page that outlives what it
 * describes fails here.
 */

import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import t from 'tap';

const ROOT = resolve(import.meta.dirname, '../..');
const LIFE = 'docs/life-of-a-request.md';
const IGNORED = /(^|\/)(node_modules|target|dist|coverage|\.tap|\.git)(\/|$)/;

const pages = globSync('**/*.md', { cwd: ROOT, exclude: (path) => IGNORED.test(path) }).sort();
const designPages = pages.filter((page) => page.startsWith('docs/design/'));
const handbook = pages.filter((page) => /^(README|docs\/[\w-]+)\.md$/.test(page));

t.test('every relative link leads to a file, and its anchor to a heading', async (t) => {
  t.ok(pages.includes('README.md') && pages.includes(LIFE));
  for (const page of pages) {
    for (const target of linksOf(read(page))) {
      const [path = '', anchor = ''] = target.split('#');
      const file = path === '' ? page : relative(ROOT, resolve(ROOT, dirname(page), path));
      if (!t.ok(existsSync(join(ROOT, file)), `${page} → ${target}`) || anchor === '') continue;
      t.ok(anchorsOf(read(file)).has(anchor), `${page} → ${target} is a heading`);
    }
  }
});

t.test('every path named in the life of a request and in the design pages exists', async (t) => {
  for (const page of [LIFE, ...designPages]) {
    for (const path of codeOf(read(page)).filter(isPath)) t.ok(existsSync(join(ROOT, path)), `${page}: ${path}`);
  }
});

t.test('every function named in the life of a request and in the design pages is written in the code', async (t) => {
  const everything = globSync(['src/**/*.ts', 'native/{core,binding}/src/**/*.rs'], { cwd: ROOT }).map(read).join('\n');
  for (const page of [LIFE, ...designPages]) {
    for (const line of read(page).split('\n')) {
      const code = codeOf(line);
      // A row of a table that names files means functions of those files; rows of a way name their
      // callers too (way.test.ts).
      const files =
        line.startsWith('|') && !/^\| \d+ \| `\w+\(\)` \|/.test(line) ? code.filter((word) => /\.(rs|ts)$/.test(word) && isPath(word)) : [];
      const where = files.length > 0 ? files.map(read).join('\n') : everything;
      for (const name of code.flatMap((word) => /^(\w+)\(\)$/.exec(word)?.[1] ?? [])) {
        t.match(where, new RegExp(`\\b${name}(<.*>)?\\(`), `${page}: ${name}() ${files.join(' ')}`);
      }
    }
  }
});

t.test('every metric and key that a page names is on its own page', async (t) => {
  const metrics = read('docs/metrics.md');
  const keys = read('docs/configuration.md');
  for (const page of [...handbook, ...designPages]) {
    for (const word of codeOf(read(page))) {
      if (/^lychgate_\w+$/.test(word)) t.ok(metrics.includes(`\`${word}\``), `${page}: ${word}`);
      if (/^(listeners\[\]|routes\[\]|upstreams\.<name>|limits|shards|admin|log|drain)\.[\w.]+$/.test(word) && !isPath(word)) {
        // A page about a section may leave out what stands before it.
        t.ok(keys.includes(`\`${word}`) || keys.includes(`.${word}`), `${page}: ${word}`);
      }
    }
  }
});

t.test('every design page is linked from the README', async (t) => {
  const linked = linksOf(read('README.md'));
  for (const page of [LIFE, ...designPages]) t.ok(linked.includes(page), page);
});

function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

/** Targets of links that stay in the repository. */
function linksOf(text: string): string[] {
  const links = [...withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1] ?? '');
  return links.filter((target) => !/^[a-z]+:/.test(target));
}

/** Anchors of headings, as they are made on the common forges. */
function anchorsOf(text: string): Set<string> {
  const headings = [...withoutCode(text).matchAll(/^#+ +(.*)$/gm)].map((match) => match[1] ?? '');
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .trim()
        .replace(/\s/g, '-'),
    ),
  );
}

/** Words in backticks, blocks left out. */
function codeOf(text: string): string[] {
  return [...text.replace(/^```[\s\S]*?^```/gm, '').matchAll(/`([^`\n]+)`/g)].map((match) => match[1] ?? '');
}

/** A file or folder of the repository, as opposed to a key, a URL path or a type. */
function isPath(word: string): boolean {
  return /^(src|native|test|docs|config|bench|bin|certs)\/[\w./-]+$/.test(word);
}

function withoutCode(text: string): string {
  return text.replace(/^```[\s\S]*?^```/gm, '').replace(/`[^`\n]*`/g, '');
}
