import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import t from 'tap';
import { parseDocument } from 'yaml';
import { routesFile } from '../../bench/routes-file.ts';
import { parsePlainYaml } from '../../src/config/read/plain-yaml.ts';

const root = join(import.meta.dirname, '../..');

/** What the parser that knows all of YAML makes of a text; undefined where it finds a mistake. */
function whole(text: string): { readonly value: unknown } | undefined {
  try {
    const document = parseDocument(text, { prettyErrors: false, stringKeys: true, version: '1.2', logLevel: 'error' });
    return document.errors.length + document.warnings.length > 0 ? undefined : { value: document.toJS({ maxAliasCount: 100 }) };
  } catch {
    return undefined;
  }
}

const MIXED = `---
a: |
  one
   two
b: |-
  x
c:
- 1
- b: 2
  c: [1, {x: y, "z": 'it''s'}]   # why not
- -1.5e3
d: "a\\tb\\u00e9"
e: ~
f:
g: { h: TRUE, j: a b }
i: h2c://[::1]:9000
`;

/** Texts as people have them. */
const TEXTS = [
  ...['config/full.yaml', 'config/minimal.yaml'].map((file) => readFileSync(join(root, file), 'utf8')),
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .flatMap((name) =>
      [...readFileSync(join(root, 'docs', name), 'utf8').matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, text = '']) => text),
    ),
  routesFile({ routes: 20, chainPath: 'a', keyPath: 'b', shards: 2 }),
  JSON.stringify({ version: 1, a: [{ b: { c: 'd\n"x"' }, e: 1.5, f: null, g: [] }], h: {} }, null, 2),
  MIXED,
];

t.test('what configurations are written in is read without positions, to the same value', (t) => {
  t.ok(TEXTS.length > 10);
  for (const text of TEXTS) {
    const plain = parsePlainYaml(text);
    t.ok(plain, text.slice(0, 40));
    t.same(plain, whole(text));
  }
  t.end();
});

t.test('whatever is changed in such a text, it is the same value or left to the parser that knows all of YAML', (t) => {
  const bit = fc.constantFrom(
    ...[
      ' ',
      '  ',
      '\n',
      '- ',
      '-',
      ':',
      ': ',
      '#',
      ' #',
      ' # c\n',
      '{',
      '}',
      '[',
      ']',
      ',',
      ', ',
      '"',
      "'",
      '\\',
      '|',
      '|-',
      '>',
      '&a',
      '*a',
      '!x',
    ],
    ...[
      '?',
      '? ',
      '~',
      'null',
      'true',
      '0',
      '-0',
      '+1',
      '1.',
      '.5',
      '0x1',
      '1e3',
      '.inf',
      'a',
      'b:',
      'c: d',
      '---\n',
      '...\n',
      '%',
      '@',
      '`',
      '\t',
    ],
    ...[
      '\n\n',
      '\n  ',
      '\n    ',
      '- - ',
      '<<: ',
      '__proto__: 1',
      'é',
      '{}',
      '[]',
      '""',
      "''",
      '=',
      'key: ',
      '"k": ',
      '"k":1',
      '\r',
      '\u2028',
      '😀',
    ],
  );
  const change = fc.record({ at: fc.nat(), length: fc.nat(4), bit: fc.option(bit), isLine: fc.boolean() });
  const window = fc.record({ text: fc.nat(TEXTS.length - 1), from: fc.nat(), lines: fc.integer({ min: 1, max: 14 }) });
  let read = 0;
  fc.assert(
    fc.property(window, fc.array(change, { maxLength: 4 }), ({ text, from, lines }, changes) => {
      const all = (TEXTS[text] ?? '').split('\n');
      const begin = from % all.length;
      const some = all.slice(begin, begin + lines);
      const margin = Math.min(...some.filter((line) => line.trim() !== '').map((line) => line.search(/\S/)));
      let changed = some.map((line) => line.slice(Number.isFinite(margin) ? margin : 0)).join('\n');
      for (const { at, length, bit, isLine } of changes) {
        const parts = isLine ? changed.split('\n') : [...changed];
        const place = at % (parts.length + 1);
        if (isLine) parts[place] = `${' '.repeat(length)}${(parts[place] ?? '').trimStart()}`;
        else parts.splice(place, bit === null ? length : 0, bit ?? '');
        changed = parts.join(isLine ? '\n' : '');
      }
      const plain = parsePlainYaml(changed);
      if (plain === undefined) return true;
      read += 1;
      return isDeepStrictEqual(plain, whole(changed));
    }),
    { numRuns: 20_000, seed: 11 },
  );
  t.ok(read > 2_000, `${read} were read`);
  t.end();
});

t.test('what only looks like plain YAML is left to the other', (t) => {
  const others = [
    '',
    '# nothing\n',
    'word',
    'a: 1\na: 2',
    'a: b: c',
    'a: &x 1\nb: *x',
    'a: !!str 1',
    '%YAML 1.2\n---\na: 1',
    'a: 1\n---\nb: 2',
    'a:\n\t- b',
  ];
  const more = ['__proto__: 1', '{"__proto__": 1}', '? a\n: b', ': b', '1: b', 'null: b', '- a\nb: c', 'a:\n - b\n- c', 'a: [1, 2'];
  for (const text of [...others, ...more, `a: ${'['.repeat(100_000)}`]) t.equal(parsePlainYaml(text), undefined, text.slice(0, 40));
  t.end();
});
