/**
 * What is generated from the schema: the reference page, the JSON schema for editors, and the
 * example with every key. A test fails when the files in the repository differ from what comes out
 * here.
 */

import { z } from 'zod';
import { filled } from '../../base/fill.ts';
import { allKeys, environmentName, flagName, type Key, settableKeys } from '../keys.ts';
import { configSchema } from '../schema/config.ts';
import {
  entryOf,
  factsOf,
  isOffByDefault,
  itemOf,
  type KeyFacts,
  type ListFacts,
  listFactsOf,
  namesFactsOf,
  proseOf,
  shapeOf,
  shortFactsOf,
  type Written,
} from '../schema/facts.ts';

/**
 * JSON schema (draft 2020-12) of the file, for editors and other tools. Pretty-printed, ends in a
 * line break.
 */
export function jsonSchema(): string {
  const schema = z.toJSONSchema(configSchema, {
    io: 'input',
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema: node }) => {
      const json = factsOf(zodSchema)?.json ?? shortJson(zodSchema, node);
      if (json === undefined) return;
      const { description, default: fallback } = node;
      for (const word of Object.keys(node)) delete node[word as keyof typeof node];
      Object.assign(node, description === undefined ? {} : { description }, fallback === undefined ? {} : { default: fallback }, json);
    },
  });
  // Files that are included may have all the routes.
  const required = schema.required?.filter((key) => key !== 'routes');
  const anyOf = [{ required: ['routes'] }, { required: ['include'] }];
  return `${JSON.stringify({ ...schema, required, anyOf, title: 'Lychgate configuration' }, null, 2)}\n`;
}

/**
 * The long form beside the short one; undefined where there is no short one, or where it was
 * written already.
 */
function shortJson(schema: z.core.$ZodType, { description, default: _, ...long }: z.core.JSONSchema.BaseSchema): object | undefined {
  if ('anyOf' in long || !(schema instanceof z.ZodPipe)) return undefined;
  const item = itemOf(schema);
  const json = shortFactsOf(schema)?.json ?? (item === undefined ? undefined : (shortFactsOf(item)?.json ?? long.items));
  return json === undefined || typeof json === 'boolean' ? undefined : { anyOf: [json, long] };
}

/** The reference page, Markdown. */
export function referencePage(): string {
  const sections = Object.entries(shapeOf(configSchema) ?? {}).map(([name, schema]) => sectionText(name, schema));
  return `${PREFACE}\n${sections.join('\n')}\n${overrideText()}`;
}

/** Keys of the environment and the command line, one row a key, as a Markdown table. */
export function overrideTable(): string {
  const rows = settableKeys().map((key) => `| \`${key.name}\` | \`${environmentName(key)}\` | \`${flagName(key)}\` |`);
  return ['| key | environment | flag |', '|---|---|---|', ...rows].join('\n');
}

const PREFACE = `# Configuration

*Generated from \`src/config/schema\` by \`lychgate config docs\`; edit the prose there.*

One YAML file (YAML 1.2). [config/minimal.yaml](../config/minimal.yaml) is the smallest useful one,
[config/full.yaml](../config/full.yaml) has every key, [config/schema.json](../config/schema.json) tells editors.
\`lychgate check --config FILE\` lists every mistake with its line.

- A duration has a unit: \`250ms\`, \`10s\`, \`5m\`, \`1h\`; only \`0\` needs none.
- A size may have a unit: \`64KiB\`, \`1MiB\`, \`10MB\`; a bare number is bytes.
- A share is a number from 0 to 1, or in percent: \`0.5\`, \`50%\`.
- \`none\` stands for no limit, no time, no such thing.
- A list of texts or numbers with one item may stand without brackets: \`methods: GET\`. Lists of keys show what one item
  takes.
- Groups of which it is said that they may be left out are off then; \`{}\` turns them on with their defaults.
- Paths of files are relative to the folder of the configuration.
- Unknown keys are mistakes.
- A key without default and without the word "required" may be left out.
- The generation that logs and the admin API name is the SHA-256 of the configuration with its defaults and of the files
  it points at.
`;

function sectionText(name: string, schema: z.core.$ZodType): string {
  const keys = allKeys().filter(({ path }) => path[0] === name);
  const rows = keys.map((key) => `| \`${key.name}\` | ${key.facts.range} | ${fallbackText(key)} | ${key.prose} |`);
  const head = [`## ${name}`, '', ...filled(proseOf(schema), PAGE_COLUMNS, { first: '', rest: '' }), ...groupProse(name, schema), ''];
  return [...head, '| key | takes | default | what it does |', '|---|---|---|---|', ...rows, ''].join('\n');
}

/** One line for each mapping below a section, so that what a group is for is told once. */
function groupProse(name: string, schema: z.core.$ZodType): string[] {
  const lines = [...groups(name, schema)].flatMap(([path, prose]) =>
    filled(`\`${path}\`: ${prose}`, PAGE_COLUMNS, { first: '- ', rest: '  ' }),
  );
  return lines.length === 0 ? [] : ['', ...lines];
}

function* groups(path: string, schema: z.core.$ZodType): Generator<[string, string]> {
  const item = itemOf(schema);
  const entry = entryOf(schema);
  if (item !== undefined) yield* group(`${path}[]`, item);
  else if (entry !== undefined) yield* group(`${path}.<name>`, entry);
  else for (const [step, child] of Object.entries(shapeOf(schema) ?? {})) yield* group(`${path}.${step}`, child);
}

function* group(path: string, schema: z.core.$ZodType): Generator<[string, string]> {
  // What a list of scalars is for stands with its key.
  if (factsOf(schema) !== undefined || listFactsOf(schema) !== undefined) return;
  yield [path, `${proseOf(schema)}${schema instanceof z.ZodOptional ? ' May be left out.' : ''}`];
  yield* groups(path, schema);
}

function fallbackText({ path, facts: { fallback, isRequired: isNeeded }, listFallback }: Key): string {
  if (listFallback !== undefined) return listFallback.length === 0 ? '' : `\`${flowText(listFallback)}\``;
  // A value of a mapping of names that may have none.
  if (path.at(-1) === '<name>') return '';
  if (fallback !== undefined) return `\`${fallback}\``;
  return isNeeded ? 'required' : '';
}

function overrideText(): string {
  return `## Environment and flags

A flag wins over the environment, the environment over the file, the file over the default. An empty variable is one
that is not set. The names follow one rule: the dots and underscores of the key become underscores of \`LYCHGATE_…\` or
dashes of \`--…\`. Keys inside lists and named groups belong to the file. The file itself is \`--config FILE\` or
\`LYCHGATE_CONFIG\`.

${overrideTable()}
`;
}

/**
 * The example with every key: defaults where there are any, else an example; keys that need not be
 * given are commented out.
 */
export function exampleFile(certificates = 'certs'): string {
  const text = `${EXAMPLE_HEAD}${mappingText(configSchema, 0).join('\n').trim()}\n`;
  return text.replaceAll(/(?<![\w/.])certs\//g, `${certificates}/`);
}

// The second command makes what the first one names, so that `lychgate check` finds no mistake.
const EXAMPLE_HEAD = `# Every key, with its default where it has one. Generated from the schema by \`lychgate config defaults\`.
# Keys that are commented out have no default and may be left out. Relative paths start from the folder of this file.
# The certificate it names is one for development; \`make certs\` makes it in a checkout, and elsewhere, from the folder of this file:
#   mkdir -p certs && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90 -subj /CN=localhost \\
#     -addext subjectAltName=DNS:localhost -keyout certs/dev.key -out certs/dev.pem

`;

/** Columns of a comment, and of the page. */
const COMMENT_COLUMNS = 118;
const PAGE_COLUMNS = 120;

/** What turns a key that may be left out, and everything below it, into a comment. */
const OFF = '# ';

function mappingText(schema: z.core.$ZodType, indent: number): string[] {
  return Object.entries(shapeOf(schema) ?? {}).flatMap(([name, child]) => keyText(name, child, indent));
}

function keyText(name: string, schema: z.core.$ZodType, indent: number): string[] {
  const pad = ' '.repeat(indent);
  const facts = factsOf(schema);
  const isGroup = facts === undefined;
  const gap = isGroup && indent === 0 ? [''] : [];
  if (facts !== undefined) {
    const line = `${pad}${facts.fallback === undefined && !facts.isRequired && facts.isUsual !== true ? OFF : ''}${name}: ${writtenText(facts.fallback ?? facts.example ?? '')}`;
    return [...comment(proseOf(schema), pad, rangeText(facts)), line];
  }
  const list = listFactsOf(schema);
  if (list !== undefined) return listOfScalarsText(name, schema, list, pad);
  const isOff = isOffByDefault(schema);
  const below = groupText(name, schema, indent);
  return [...gap, ...comment(proseOf(schema), pad, suchEntry(schema)), ...(isOff ? below.map((line) => switchedOff(line, indent)) : below)];
}

/** The key of a group and everything in it. */
function groupText(name: string, schema: z.core.$ZodType, indent: number): string[] {
  const pad = ' '.repeat(indent);
  const item = itemOf(schema);
  const entry = entryOf(schema);
  if (item !== undefined) return listText(name, item, indent);
  if (entry === undefined) return [`${pad}${name}:`, ...mappingText(schema, indent + 2)];
  if (factsOf(entry) !== undefined) return [`${pad}${name}: {}`];
  return [`${pad}${name}:`, ...entryText(schema, entry, indent + 2)];
}

/** One entry of a mapping of names. */
function entryText(schema: z.core.$ZodType, entry: z.core.$ZodType, indent: number): string[] {
  const pad = ' '.repeat(indent);
  return [...comment(proseOf(entry), pad), `${pad}${namesFactsOf(schema)?.example ?? 'web'}:`, ...mappingText(entry, indent + 2)];
}

/** What could stand in a mapping of texts, which is empty by default. */
function suchEntry(schema: z.core.$ZodType): string {
  const entry = entryOf(schema);
  const facts = entry === undefined ? undefined : factsOf(entry);
  return facts === undefined ? '' : `such as { ${namesFactsOf(schema)?.example ?? ''}: ${writtenText(facts.example ?? '')} }`;
}

function listOfScalarsText(
  name: string,
  schema: z.core.$ZodType,
  { fallback, example = [], insteadOfNone }: ListFacts,
  pad: string,
): string[] {
  const item = itemOf(schema);
  const facts = item === undefined ? undefined : factsOf(item);
  const range = facts === undefined ? '' : rangeText(facts);
  if (insteadOfNone !== undefined && fallback.length === 0) {
    return [...comment(proseOf(schema), pad, range), `${pad}${OFF}${name}: ${flowText(example)}`];
  }
  const such = fallback.length === 0 && example.length > 0 ? `${range === '' ? '' : `${range}; `}such as ${flowText(example)}` : range;
  return [...comment(proseOf(schema), pad, such), `${pad}${name}: ${flowText(fallback)}`];
}

function flowText(items: readonly Written[]): string {
  return `[${items.map(writtenText).join(', ')}]`;
}

function switchedOff(line: string, indent: number): string {
  return `${line.slice(0, indent)}${OFF}${line.slice(indent)}`;
}

function listText(name: string, item: z.core.$ZodType, indent: number): string[] {
  const pad = ' '.repeat(indent);
  const facts = factsOf(item);
  if (facts !== undefined) return [`${pad}${name}: [${writtenText(facts.example ?? '')}]`];
  const entry = entryOf(item);
  const keys = entry === undefined ? mappingText(item, indent + 4) : entryText(item, entry, indent + 4);
  // The dash stands before the comment of the first key, so that comment and key stay together.
  const marked = keys.with(0, `${pad}  - ${(keys[0] ?? '').trimStart()}`);
  return [`${pad}${name}:`, ...comment(proseOf(item), `${pad}  `), ...marked];
}

/** What a key takes, where its value does not show it. */
function rangeText({ kind, range }: KeyFacts): string {
  return kind === 'flag' ? '' : range.replaceAll('`', '');
}

function comment(prose: string, pad: string, range = ''): string[] {
  const text = range === '' ? prose : `${prose} (${range})`;
  return filled(text, COMMENT_COLUMNS, { first: `${pad}# `, rest: `${pad}# ` });
}

/** Text that YAML would read as something else is quoted. */
function writtenText(value: Written): string {
  const isPlain = typeof value !== 'string' || /^[A-Za-z0-9./][\w./:-]*$/.test(value);
  return isPlain ? String(value) : JSON.stringify(value);
}
