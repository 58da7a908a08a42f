import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parse } from 'yaml';
import { redact } from '../../src/config/describe/redact.ts';
import { exampleFile, jsonSchema, referencePage } from '../../src/config/describe/reference.ts';
import { allKeys } from '../../src/config/keys.ts';
import { loadSnapshot } from '../../src/config/load.ts';
import { certificates } from '../support/certificates.ts';
import { load, PLAIN, plainWith } from './support/configuration.ts';

const root = join(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

t.test('the reference page, the JSON schema and the full example are not stale (npm run docs makes them)', async (t) => {
  t.ok(read('docs/configuration.md') === referencePage(), 'docs/configuration.md');
  t.ok(read('config/schema.json') === jsonSchema(), 'config/schema.json');
  t.ok(read('config/full.yaml') === exampleFile('../certs'), 'config/full.yaml');
});

t.test('every key of the schema stands in the full example, with its default where it has one', async (t) => {
  const text = read('config/full.yaml');
  const values = parse(text) as unknown;
  for (const { name, path, facts, listFallback, isNeverEmpty } of allKeys()) {
    const last = path.findLast((step) => step !== '[]' && step !== '<name>') ?? '';
    t.ok(new RegExp(`^[ #]*(- )?(# )?${last}:`, 'm').test(text), name);
    const expected = listFallback ?? facts.fallback;
    if (expected === undefined || path.at(-1) === '<name>') continue;
    const steps = listFallback === undefined ? path : path.slice(0, -1);
    let at = values;
    for (const step of steps) at = (at as Record<string, unknown> | undefined)?.[step === '[]' ? '0' : step === '<name>' ? 'web' : step];
    // What is off by default is a comment as a whole, with its defaults in it.
    if (at === undefined) t.ok(text.includes(`${last}: ${isNeverEmpty ? '[' : `${written(expected)}\n`}`), name);
    else t.same(at, expected === '0' ? 0 : expected, name);
  }
});

/** As the example writes it. */
function written(value: unknown): string {
  return Array.isArray(value) ? `[${value.join(', ')}]` : String(value);
}

t.test('every key stands in the reference page with prose', async (t) => {
  const page = referencePage();
  for (const { name, prose } of allKeys()) {
    t.ok(page.includes(`| \`${name}\` |`), name);
    t.ok(prose.endsWith('.'), `${name} is explained in a sentence`);
  }
});

t.test('both example files are valid and without warning', async (t) => {
  const folder = t.testdir();
  cpSync(join(root, 'config'), join(folder, 'config'), { recursive: true });
  cpSync(certificates().folder, join(folder, 'certs'), { recursive: true });
  for (const name of ['minimal.yaml', 'full.yaml']) {
    const { snapshot, problems } = await loadSnapshot(join(folder, 'config', name));
    t.ok(snapshot, name);
    t.same(problems, [], name);
  }
});

t.test('the JSON schema is one of objects without further keys', async (t) => {
  const schema = JSON.parse(jsonSchema()) as Record<string, unknown>;
  t.equal(schema['$schema'], 'https://json-schema.org/draft/2020-12/schema');
  const visit = (node: unknown, path: string): void => {
    if (node === null || typeof node !== 'object') return;
    const { type, properties, additionalProperties } = node as Record<string, unknown>;
    if (type === 'object' && properties !== undefined) t.equal(additionalProperties, false, path);
    for (const [step, child] of Object.entries(node)) visit(child, `${path}/${step}`);
  };
  visit(schema, '#');
});

t.test('a configuration is shown as it could be written, without its secrets', async (t) => {
  const text = plainWith('{ address: 127.0.0.1:9901 }', '{ address: off, token: super-secret-token }');
  const { config } = await load(t, text);
  if (config === undefined) throw new Error('no configuration');
  const shown = redact(config);
  t.match(shown, {
    version: 1,
    listeners: [{ certificates: [{ chain: 'certs/dev.pem', key: '(redacted)' }], quic: { idle_timeout: '30s', stream_window: '2MiB' } }],
    admin: { address: 'off', token: '(redacted)' },
    routes: [{ max_body: 'none', timeouts: { exchange: 'none' } }],
  });
  t.notMatch(JSON.stringify(shown), /super-secret|dev\.key/);
});

t.test('what is shown can be loaded again and means the same', async (t) => {
  const { config, snapshot } = await load(t, PLAIN);
  if (config === undefined) throw new Error('no configuration');
  const again = await load(t, JSON.stringify(redact(config)).replace('(redacted)', 'certs/dev.key'));
  t.equal(again.snapshot?.generation, snapshot?.generation);
});
