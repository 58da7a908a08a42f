/**
 * What TypeScript has of the tables: constants, readers and writers of records, and the registry of
 * reasons. Written as biome leaves it.
 */

import {
  camel,
  loud,
  REASONS_FILE,
  RECORDS_FILE,
  RETRIES,
  type ReasonRow,
  type Records,
  type RecordTable,
  type Row,
  SIDES,
  sentence,
} from './table.ts';
import { COLUMNS, comment, firstLine, grouped, lines } from './text.ts';

/** A writer of more values than this takes them as one object. */
const PARAMETERS = 6;

/** A doc comment. */
function doc(text: string, indent = ''): string[] {
  const [line = '', ...more] = comment(`${text} */`, `${indent}/** `);
  return more.length === 0 ? [line] : [`${indent}/**`, ...comment(text, `${indent} * `), `${indent} */`];
}

/** src/record/layout.ts */
export function layoutTypescript({ cursors, rings, memoryBytes, constants, wrap, records }: Records): string {
  return lines([
    firstLine(RECORDS_FILE),
    ...doc(
      'Where the rings lie in the memory that reactor and lane share, kinds of records, and flags: what `docs/design/records.md` ' +
        'explains and `native/core/src/record/layout.rs` has by the same names.',
    ),
    '',
    ...cursors.flatMap(({ word, name, is }) => [...doc(sentence(`word: ${is}`)), `export const ${name.toUpperCase()}_WORD = ${word};`]),
    '',
    ...rings.flatMap(({ byte, bytes, name, is }) => [
      ...doc(`Where the ${is} begins.`),
      `export const ${name.toUpperCase()}_BYTE = ${grouped(byte)};`,
      ...doc(`Bytes of the ${is}.`),
      `export const ${name.toUpperCase()}_BYTES = ${grouped(bytes)};`,
    ]),
    '/** Bytes of the whole memory. */',
    `export const MEMORY_BYTES = ${grouped(memoryBytes)};`,
    '',
    ...constants.flatMap(({ name, value, is }) => [...doc(is), `export const ${name} = ${value === 0xffff_ffff ? '0xffff_ffff' : value};`]),
    '',
    "/** Kind of the filler at a ring's end. */",
    `export const KIND_WRAP = ${wrap};`,
    ...records.flatMap(({ name, kind, is }) => [...doc(is), `export const KIND_${loud(name)} = ${kind};`]),
    '',
    ...doc('Words of records before their table and text, bytes of those that have neither and are written here.'),
    ...records.flatMap(({ name, words, table, text, isWritten }) => {
      if (table !== '' || text !== '') return [`export const ${loud(name)}_WORDS = ${words};`];
      return isWritten ? [`export const ${loud(name)}_BYTES = ${words * 4};`] : [];
    }),
    ...records.flatMap(({ name, flags }) => [
      ...(flags.list.length > 0 ? [''] : []),
      ...flags.list.flatMap((flag) => [
        ...doc(sentence(`${name}: ${flag.is}`)),
        `export const ${flags.prefix}_${flag.name} = ${grouped(flag.bit)};`,
      ]),
    ]),
  ]);
}

/** src/record/words.ts */
export function wordsTypescript({ records }: Records): string {
  return lines([
    firstLine(RECORDS_FILE),
    ...doc(
      'The words of each record before its table and text, by name: read from the memory into the fields of a reader that lives as ' +
        'long as the lane, and written into a record that was begun.',
    ),
    '',
    "import type { RecordMemory } from './ring.ts';",
    '',
    '/** The exchange a record is about, and what the lane remembers of it. */',
    'export interface SubjectWords {',
    ...SUBJECT.map((name) => `  readonly ${name}: number;`),
    '}',
    ...records.flatMap((record) => [...(record.isRead ? reader(record) : []), ...(record.isWritten ? writer(record) : [])]),
  ]);
}

const SUBJECT = ['exchangeIndex', 'exchangeGeneration', 'tag', 'memo0', 'memo1', 'memo2'];

/** Names that a row has in TypeScript, one for each number. */
function names({ type, names: given }: Row): string[] {
  const [name] = given.map(camel);
  if (type === 'memo') return [0, 1, 2].map((number) => `${name}${number}`);
  if (type === 'u64') return [`${name}Low`, `${name}High`];
  return given.map(camel);
}

/** What reads a row's numbers, in the order of `names`. */
function loads({ at, type, words }: Row, words_: string, floats: string, base: string): string[] {
  const word = (place: number) => `${words_}[${base} + ${place}]!`;
  if (type === 'pair') return [`${word(at)} & 0xffff`, `${word(at)} >>> 16`];
  if (type === 'f64') return [`${floats}[(${base} + ${at}) >>> 1]!`];
  return Array.from({ length: words }, (_, place) => word(at + place));
}

function reader({ name, is, rows }: RecordTable): string[] {
  const eager = rows.filter((row) => !row.isOnDemand && row.type !== 'zero');
  const late = rows.filter((row) => row.isOnDemand);
  const hasFloats = eager.some(({ type }) => type === 'f64');
  return [
    '',
    ...doc(`${is} \`read\` points it at one record after the other.`),
    `export class ${name}Words {`,
    '  exchangeIndex = 0;',
    '  exchangeGeneration = 0;',
    ...eager.flatMap((row) => [...doc(sentence(row.is), '  '), ...names(row).map((field) => `  ${field} = 0;`)]),
    '  protected readonly memory: RecordMemory;',
    '  protected at = 0;',
    '',
    '  constructor(memory: RecordMemory) {',
    '    this.memory = memory;',
    '  }',
    '',
    '  /** Points at the record whose first word is `at`. */',
    '  read(at: number): void {',
    '    const words = this.memory.words;',
    ...(hasFloats ? ['    const floats = this.memory.floats;'] : []),
    '    this.at = at;',
    '    this.exchangeIndex = words[at + 2]!;',
    '    this.exchangeGeneration = words[at + 3]!;',
    ...eager.flatMap((row) => {
      const from = loads(row, 'words', 'floats', 'at');
      return names(row).map((field, place) => `    this.${field} = ${from[place]};`);
    }),
    '  }',
    ...late.flatMap((row) => {
      if (row.type === 'address') {
        const field = camel(row.names[0]!);
        return ['', ...doc(`Byte place of ${row.is}: 16 bytes.`, '  '), ...getter(`${field}Byte`, `(this.at + ${row.at}) << 2`)];
      }
      const from = loads(row, 'this.memory.words', 'this.memory.floats', 'this.at');
      return names(row).flatMap((field, place) => ['', ...doc(sentence(row.is), '  '), ...getter(field, from[place]!)]);
    }),
    '}',
  ];
}

function getter(name: string, value: string): string[] {
  return [`  get ${name}(): number {`, `    return ${value};`, '  }'];
}

function writer({ name, is, rows }: RecordTable): string[] {
  const isAbout = rows.some((row) => row.names.includes('tag'));
  const own = rows.filter((row) => row.type !== 'zero' && !(isAbout && (row.names.includes('tag') || row.type === 'memo')));
  const given = own.flatMap((row) => (row.type === 'address' ? [camel(row.names[0]!)] : names(row)));
  const isObject = given.length > PARAMETERS;
  const parameters = [
    'memory: RecordMemory',
    'at: number',
    ...(isAbout ? ['subject: SubjectWords'] : ['exchangeIndex: number', 'exchangeGeneration: number']),
    ...(isObject ? [`given: Given${name}`] : given.map((field) => `${field}: number`)),
  ];
  const from = isObject ? 'given.' : '';
  const subject = isAbout ? 'subject.' : '';
  return [
    ...(isObject
      ? [
          '',
          ...doc(`What a ${name} is given beside its exchange.`),
          `export interface Given${name} {`,
          ...own.flatMap((row) => [
            ...doc(sentence(row.is), '  '),
            ...(row.type === 'address'
              ? [`  readonly ${camel(row.names[0]!)}: Uint8Array;`]
              : names(row).map((field) => `  readonly ${field}: number;`)),
          ]),
          '}',
        ]
      : []),
    '',
    ...doc(is),
    ...signature(`export function write${name}`, parameters),
    '  const words = memory.words;',
    `  words[at + 2] = ${subject}exchangeIndex;`,
    `  words[at + 3] = ${subject}exchangeGeneration;`,
    ...rows.flatMap((row) => stores(row, own.includes(row) ? from : 'subject.')),
    '}',
  ];
}

function stores(row: Row, from: string): string[] {
  const { at, type } = row;
  const [name, second] = row.names.map(camel);
  switch (type) {
    case 'zero':
      return [`  words[at + ${at}] = 0;`];
    case 'pair':
      return [`  words[at + ${at}] = ${from}${name} | (${from}${second} << 16);`];
    case 'f64':
      return [`  memory.floats[(at + ${at}) >>> 1] = ${from}${name};`];
    case 'address':
      return [`  words.fill(0, at + ${at}, at + ${at + 4});`, `  memory.bytes.set(${from}${name}, (at + ${at}) << 2);`];
    default:
      return names(row).map((field, place) => `  words[at + ${at + place}] = ${from}${field};`);
  }
}

function signature(start: string, parameters: readonly string[]): string[] {
  const whole = `${start}(${parameters.join(', ')}): void {`;
  if (whole.length <= COLUMNS) return [whole];
  return [`${start}(`, ...parameters.map((parameter) => `  ${parameter},`), '): void {'];
}

/** src/base/reasons.ts */
export function reasonsTypescript(reasons: readonly ReasonRow[]): string {
  return lines([
    firstLine(REASONS_FILE),
    '/** The registry of reasons: numbers that stand in records, codes, and what follows from each. */',
    '',
    '/** Whose failure it was. */',
    `export type Side = ${SIDES.map((side) => `'${side}'`).join(' | ')};`,
    '',
    ...doc('May another attempt be made: never, only when nothing was sent, or whenever the request is safe to repeat (RFC 9110 §9.2.2).'),
    `export type Retry = ${RETRIES.map((retry) => `'${retry}'`).join(' | ')};`,
    '',
    '/** One row. */',
    'export interface Reason {',
    '  /** In records; below 128. */',
    '  readonly number: number;',
    '  /** Stable name in logs, metrics and answers. */',
    '  readonly code: string;',
    '  readonly side: Side;',
    '  /** HTTP status a client gets; 0 when none follows from the code. */',
    '  readonly status: number;',
    '  readonly retry: Retry;',
    '  /** What a gRPC client is told. */',
    '  readonly grpcStatus: number;',
    '  /** One line for people. */',
    '  readonly title: string;',
    '}',
    '',
    '/** Every reason, ordered by number. */',
    'export const REASONS = [',
    ...reasons.flatMap(({ number, code, side, status, retry, grpc, title }) => {
      const text = title.includes("'") ? `"${title}"` : `'${title}'`;
      const values = [String(number), `'${code}'`, `'${side}'`, String(status), `'${retry}'`, String(grpc), text];
      const whole = `  reason(${values.join(', ')}),`;
      return whole.length <= COLUMNS ? [whole] : ['  reason(', ...values.map((value) => `    ${value},`), '  ),'];
    }),
    '] as const satisfies readonly Reason[];',
    '',
    "/** Keeps the code's literal type. */",
    'function reason<const Code extends string>(',
    ...['number: number', 'code: Code', 'side: Side', 'status: number', 'retry: Retry', 'grpcStatus: number', 'title: string'].map(
      (parameter) => `  ${parameter},`,
    ),
    '): Reason & { readonly code: Code } {',
    '  return Object.freeze({ number, code, side, status, retry, grpcStatus, title });',
    '}',
  ]);
}
