/**
 * What is generated from the schema: the reference page, the JSON schema for editors, and the example with every key. A test fails when the
 * files in the repository differ from what comes out here.
 */

import { z } from 'zod';
import { allKeys, environmentName, flagName, settableKeys } from './keys.ts';
import { configSchema } from './schema/config.ts';
import { entryOf, factsOf, itemOf, type KeyFacts, proseOf, shapeOf } from './schema/facts.ts';

/** JSON schema (draft 2020-12) of the file, for editors and other tools. Pretty-printed, ends in a line break. */
export function jsonSchema(): string {
  const schema = z.toJSONSchema(configSchema, {
    io: 'input',
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema: node }) => {
      const json = factsOf(zodSchema)?.json;
      if (json === undefined) return;
      const { description, default: fallback } = node;
      for (const word of Object.keys(node)) delete node[word as keyof typeof node];
      Object.assign(node, description === undefined ? {} : { description }, fallback === undefined ? {} : { default: fallback }, json);
    },
  });
  return `${JSON.stringify({ ...schema, title: 'Lychgate configuration' }, null, 2)}\n`;
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

One YAML file (YAML 1.2). [config/minimal.yaml](../config/minimal.yaml) is the smallest useful one, [config/full.yaml](../config/full.yaml) has every
key, [config/schema.json](../config/schema.json) tells editors. \`lychgate check --config FILE\` lists every mistake with its line.

- A duration has a unit: \`250ms\`, \`10s\`, \`5m\`, \`1h\`; only \`0\` needs none.
- A size may have a unit: \`64KiB\`, \`1MiB\`, \`10MB\`; a bare number is bytes.
- Paths of files are relative to the folder of the configuration.
- Unknown keys are mistakes.
- A key without default and without the word "required" may be left out.
- The generation that logs and the admin API name is the SHA-256 of the configuration with its defaults and of the files it points at.
`;

function sectionText(name: string, schema: z.core.$ZodType): string {
  const keys = allKeys().filter(({ path }) => path[0] === name);
  const rows = keys.map(({ name: key, facts, prose }) => {
    return `| \`${key}\` | ${facts.range} | ${fallbackText(facts)} | ${prose} |`;
  });
  const head = [`## ${name}`, '', proseOf(schema), ...groupProse(name, schema), ''];
  return [...head, '| key | takes | default | what it does |', '|---|---|---|---|', ...rows, ''].join('\n');
}

/** One line for each mapping below a section, so that what a group is for is told once. */
function groupProse(name: string, schema: z.core.$ZodType): string[] {
  const lines = [...groups(name, schema)].map(([path, prose]) => `- \`${path}\`: ${prose}`);
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
  if (factsOf(schema) !== undefined) return;
  yield [path, proseOf(schema)];
  yield* groups(path, schema);
}

function fallbackText({ fallback, isRequired: isNeeded }: KeyFacts): string {
  if (fallback !== undefined) return `\`${fallback}\``;
  return isNeeded ? 'required' : '';
}

function overrideText(): string {
  return `## Environment and flags

A flag wins over the environment, the environment over the file, the file over the default. The names follow one rule: the dots and underscores of the
key become underscores of \`LYCHGATE_…\` or dashes of \`--…\`. Keys inside lists and named groups belong to the file. The file itself is
\`--config FILE\` or \`LYCHGATE_CONFIG\`.

${overrideTable()}
`;
}

/** The example with every key: defaults where there are any, else an example; keys that need not be given are commented out. */
export function exampleFile(): string {
  return `${EXAMPLE_HEAD}${mappingText(configSchema, 0).join('\n').trim()}\n`;
}

const EXAMPLE_HEAD = `# Every key, with its default where it has one. Generated from the schema by \`lychgate config defaults\`.
# Keys that are commented out have no default and may be left out. Relative paths start from the folder of this file.

`;

/** Columns of a comment. */
const COMMENT_COLUMNS = 118;

function mappingText(schema: z.core.$ZodType, indent: number): string[] {
  return Object.entries(shapeOf(schema) ?? {}).flatMap(([name, child]) => keyText(name, child, indent));
}

function keyText(name: string, schema: z.core.$ZodType, indent: number): string[] {
  const pad = ' '.repeat(indent);
  const facts = factsOf(schema);
  const isGroup = facts === undefined;
  const lines = [...(isGroup && indent === 0 ? [''] : []), ...comment(proseOf(schema), pad, facts)];
  if (facts !== undefined) {
    const value = writtenText(facts.fallback ?? facts.example ?? '');
    return [...lines, `${pad}${facts.fallback === undefined && !facts.isRequired ? '# ' : ''}${name}: ${value}`];
  }
  const item = itemOf(schema);
  const entry = entryOf(schema);
  if (item !== undefined) return [...lines, ...listText(name, item, indent)];
  if (entry === undefined) return [...lines, `${pad}${name}:`, ...mappingText(schema, indent + 2)];
  return [...lines, `${pad}${name}:`, ...comment(proseOf(entry), `${pad}  `), `${pad}  web:`, ...mappingText(entry, indent + 4)];
}

function listText(name: string, item: z.core.$ZodType, indent: number): string[] {
  const pad = ' '.repeat(indent);
  const facts = factsOf(item);
  if (facts !== undefined) return [`${pad}${name}: [${writtenText(facts.example ?? '')}]`];
  const keys = mappingText(item, indent + 4);
  // The dash stands before the comment of the first key, so that comment and key stay together.
  const marked = keys.with(0, `${pad}  - ${(keys[0] ?? '').trimStart()}`);
  return [`${pad}${name}:`, ...comment(proseOf(item), `${pad}  `), ...marked];
}

function comment(prose: string, pad: string, facts?: KeyFacts): string[] {
  const text = facts === undefined || facts.kind === 'flag' ? prose : `${prose} (${facts.range.replaceAll('`', '')})`;
  const lines: string[] = [];
  let line = `${pad}#`;
  for (const word of text.split(' ')) {
    if (line.length + 1 + word.length > COMMENT_COLUMNS) {
      lines.push(line);
      line = `${pad}#`;
    }
    line += ` ${word}`;
  }
  return text === '' ? [] : [...lines, line];
}

/** Text that YAML would read as something else is quoted. */
function writtenText(value: string | number | boolean): string {
  const isPlain = typeof value !== 'string' || /^[A-Za-z0-9./][\w./:-]*$/.test(value);
  return isPlain ? String(value) : JSON.stringify(value);
}
