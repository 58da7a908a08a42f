import { join } from 'node:path';
import t from 'tap';
import { loadSnapshot } from '../../src/config/load.ts';
import { formatProblem } from '../../src/config/problem.ts';
import { PLAIN, plainWith, problemsOf } from './support/configuration.ts';

t.test('a file that does not exist is told plainly', async (t) => {
  const file = join(t.testdir(), 'absent.yaml');
  const { problems } = await loadSnapshot(file);
  t.same(problems.map(formatProblem), [`${file}: error: the file does not exist`]);
});

t.test('a folder is no configuration', async (t) => {
  const folder = t.testdir();
  const { problems } = await loadSnapshot(folder);
  t.same(problems.map(formatProblem), [`${folder}: error: is a directory, not a file`]);
});

t.test('an empty file and one with only comments say so', async (t) => {
  for (const text of ['', '\n\n', '# nothing\n', '---\n']) {
    const [line = ''] = await problemsOf(t, text);
    t.match(line, 'edge.yaml: error: the file is empty; expected a mapping', JSON.stringify(text));
  }
});

t.test('a list or a word at the root is no mapping', async (t) => {
  t.match((await problemsOf(t, '- a\n- b\n'))[0], /^edge\.yaml:1:1: error: the file is no mapping/);
  t.match((await problemsOf(t, 'hello\n'))[0], /the file is no mapping/);
});

t.test('binary and badly encoded files are refused', async (t) => {
  t.match((await problemsOf(t, Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0, 1])))[0], /binary, not text/);
  t.match((await problemsOf(t, Buffer.from([0x61, 0x3a, 0x20, 0xff, 0xfe])))[0], /not UTF-8 text/);
});

t.test('a key that stands twice is found', async (t) => {
  const lines = await problemsOf(t, `${PLAIN}version: 1\n`);
  t.equal(lines.length, 1);
  t.match(lines[0], /^edge\.yaml:13:1: error: this key stands twice/);
});

t.test('a tab as indentation is named', async (t) => {
  const lines = await problemsOf(t, 'version: 1\nadmin:\n\taddress: off\n');
  t.match(lines[0], /^edge\.yaml:3:\d+: error: a tab is used for indentation/);
});

t.test('anchors can be used but not as a bomb', async (t) => {
  const text = plainWith('{ match: { path: / }, upstream: web }', '{ match: &all { path: / }, upstream: web }');
  t.same(await problemsOf(t, text), []);
  const levels = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
  for (let level = 1; level < 10; level++) {
    levels.push(
      `a${level}: &a${level} [${Array(10)
        .fill(`*a${level - 1}`)
        .join(', ')}]`,
    );
  }
  const bomb = await problemsOf(t, levels.join('\n'));
  t.match(bomb.join('\n'), /anchors are repeated more than 100 times/);
});

t.test('an alias is found at the place of its anchor', async (t) => {
  const text = `${PLAIN}x: &bad { path: nowhere }\n`.replace('{ path: / }', '*bad');
  const lines = await problemsOf(t, text);
  t.ok(lines.length > 0);
  t.notMatch(lines.join('\n'), /\bat .*\.(ts|js):/);
});

t.test('tags, several documents and keys that are no text are refused', async (t) => {
  t.match((await problemsOf(t, 'a: !!js/function "x"\n'))[0], /YAML tags are not used here/);
  t.match((await problemsOf(t, `${PLAIN}---\n${PLAIN}`))[0], /more than one YAML document/);
  t.match((await problemsOf(t, '? [a, b]\n: 1\n'))[0], /a key must be plain text/);
});

t.test('endless nesting ends in a problem', async (t) => {
  const lines = await problemsOf(t, `a: ${'['.repeat(100_000)}`);
  t.same(lines, ['edge.yaml: error: the file is nested too deeply']);
});

t.test('an alias without anchor and another version of YAML are refused', async (t) => {
  t.match((await problemsOf(t, 'a: *nope\n'))[0], /an alias stands before its anchor, or has none/);
  t.match((await problemsOf(t, '%YAML 1.1\n---\nversion: 1\n'))[0], /another version of YAML/);
});

t.test('a byte order mark does no harm', async (t) => {
  t.same(await problemsOf(t, `\uFEFF${PLAIN}`), []);
});

t.test('names of prototypes are keys like any other', async (t) => {
  const lines = await problemsOf(t, `${PLAIN}__proto__: { polluted: true }\nconstructor: 1\n`);
  t.equal(lines.length, 2);
  t.match(lines[0], /__proto__: is not a key here/);
  t.match(lines[1], /constructor: is not a key here/);
  t.equal((Object.prototype as Record<string, unknown>)['polluted'], undefined);
});
