/**
 * What crosses the border to the addon is written down twice: in `src/native/binding.ts`, and in
 * `native/binding/src` (`types.rs`, `lib.rs`). Both say the same.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import ts from 'typescript';
import { toBindingListener } from '../../src/native/convert.ts';
import { addon, skip } from '../support/addon.ts';
import { sampleListener } from '../support/snapshots.ts';

const root = join(import.meta.dirname, '../..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');

/** A record's fields, or a function's parameters and what it returns, with their types. */
type Shapes = Record<string, Record<string, string>>;

/** What stands for types that Rust has of Node itself. */
const OF_NODE: Readonly<Record<string, string>> = {
  "Unknown<'env>": 'ArrayBuffer',
  "Object<'env>": 'Promise<BindingReply>',
  "Function<'env, (), ()>": '() => void',
};

t.test('records are the same on both sides', async (t) => {
  const source = read('native/binding/src/types.rs');
  const records: Shapes = {};
  for (const [, name, fields] of source.matchAll(/^ {4}(Binding\w+) \{([^}]*)\}/gm)) {
    records[name!] = Object.fromEntries(
      split(fields!).map((field) => {
        const [name, type] = field.split(/:(.*)/s);
        return [camel(name!.trim().replace('r#', '')), fromRust(type!)];
      }),
    );
  }
  t.ok(Object.keys(records).length > 20, 'records were found');
  t.strictSame(records, interfaces().records);
  const alias = /pub type BindingSection = (.*);/.exec(source)?.[1];
  t.equal(fromRust(alias ?? ''), interfaces().section);
});

t.test('functions are the same on both sides', async (t) => {
  const functions: Shapes = {};
  for (const [, name, given, result] of read('native/binding/src/lib.rs').matchAll(
    /#\[napi\(catch_unwind\)\]\npub fn (\w+)(?:<'env>)?\(([^{]*?)\)(?: -> ([^{]*))? \{/g,
  )) {
    const parameters = split(given!)
      .map((one) => one.replace(/^mut /, '').split(/:(.*)/s))
      .filter(([name]) => name !== 'env')
      .map(([name, type]) => [camel(name!), fromRust(type!)] as const);
    functions[camel(name!)] = Object.fromEntries([...parameters, ['returns', fromRust(result ?? '()')]]);
  }
  t.ok(Object.keys(functions).length > 30, 'functions were found');
  t.strictSame(functions, interfaces().functions);
});

t.test('the reactor reads every key of the sections of a listener, and names one that it does not know', { skip }, async (t) => {
  const listener = toBindingListener(sampleListener(), { place: 0, listener: 7, isRetiring: false });
  addon!.checkListener(listener);
  for (const name of ['quic', 'http', 'normalise'] as const) {
    const more = { ...listener, [name]: { ...listener[name], unheard_of: 1 } };
    t.throws(() => addon!.checkListener(more), { message: `listener 7: ${name}.unheard_of is nothing that is known here` });
    for (const key of Object.keys(listener[name])) {
      const { [key]: _, ...others } = listener[name];
      t.throws(() => addon!.checkListener({ ...listener, [name]: others }), { message: `listener 7: ${name}.${key} is missing` });
    }
  }
});

/** As `binding.ts` has them. */
function interfaces(): { records: Shapes; functions: Shapes; section: string } {
  const text = read('src/native/binding.ts');
  const file = ts.createSourceFile('binding.ts', text, ts.ScriptTarget.Latest);
  const [records, functions]: [Shapes, Shapes] = [{}, {}];
  let section = '';
  const typeText = (node: ts.TypeNode | undefined) => node?.getText(file) ?? 'void';
  for (const statement of file.statements) {
    if (ts.isTypeAliasDeclaration(statement)) section = ordered(typeText(statement.type));
    if (!ts.isInterfaceDeclaration(statement)) continue;
    const fields = statement.members.filter(ts.isPropertySignature).map((field) => [field.name.getText(file), typeText(field.type)]);
    if (fields.length > 0) records[statement.name.text] = Object.fromEntries(fields);
    for (const method of statement.members.filter(ts.isMethodSignature)) {
      const parameters = method.parameters.map((one) => [one.name.getText(file), typeText(one.type)]);
      functions[method.name.getText(file)] = Object.fromEntries([...parameters, ['returns', typeText(method.type)]]);
    }
  }
  return { records, functions, section };
}

/** A type of Rust as TypeScript writes it. */
function fromRust(type: string): string {
  const known = type.trim().replace(/^types::/, '');
  const [, outer, inner] = /^(Result|Vec|HashMap|Either3)<(.*)>$/s.exec(known) ?? [];
  if (outer === 'Result') return fromRust(inner!);
  if (outer === 'Vec') return `${fromRust(inner!)}[]`;
  if (outer === 'HashMap') return `Record<${split(inner!).map(fromRust).join(', ')}>`;
  if (outer === 'Either3') return split(inner!).map(fromRust).toSorted().join(' | ');
  if (/^(?:f64|[iu]32)$/.test(known)) return 'number';
  return { ...OF_NODE, String: 'string', "&'static str": 'string', bool: 'boolean', '()': 'void' }[known] ?? known;
}

/** Alternatives in the order of the alphabet. */
function ordered(type: string): string {
  return type.replace(/\w+(?: \| \w+)+/, (union) => union.split(' | ').toSorted().join(' | '));
}

/** At commas that stand in no brackets. */
function split(list: string): string[] {
  const parts = [''];
  let depth = 0;
  for (const letter of list) {
    if ('<(['.includes(letter)) depth++;
    if ('>)]'.includes(letter)) depth--;
    if (letter === ',' && depth === 0) parts.push('');
    else parts[parts.length - 1] += letter;
  }
  return parts.map((part) => part.trim()).filter((part) => part !== '');
}

function camel(name: string): string {
  return name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}
