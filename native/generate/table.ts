/**
 * The tables that both languages are written from: records (`native/core/src/record/records.yaml`)
 * and reasons (`native/core/src/base/reason/reasons.yaml`), read and checked. A mistake names file,
 * place, what stands there and what should.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { load } from 'js-yaml';

const ROOT = join(import.meta.dirname, '../..');
export const RECORDS_FILE = 'native/core/src/record/records.yaml';
export const REASONS_FILE = 'native/core/src/base/reason/reasons.yaml';

/** Words that each type takes. */
const WORDS = { u32: 1, f64: 2, u64: 2, memo: 3, address: 4, zero: 1, pair: 1 } as const;

export type WordType = keyof typeof WORDS;

/** One row of a record: a value, or two in one word. */
export interface Row {
  readonly at: number;
  /** Words it takes. */
  readonly words: number;
  readonly type: WordType;
  /** In snake_case: none of a word that says nothing, two of a pair (low, then high bits). */
  readonly names: readonly string[];
  readonly isOnDemand: boolean;
  readonly is: string;
}

export interface Flag {
  readonly bit: number;
  readonly name: string;
  readonly is: string;
}

export interface RecordTable {
  /** As the page writes it: `AttemptFailed`. */
  readonly name: string;
  readonly kind: number;
  readonly to: 'lane' | 'reactor';
  readonly is: string;
  readonly isRead: boolean;
  readonly isWritten: boolean;
  /** Without the four that every record begins with. */
  readonly rows: readonly Row[];
  /** All words before table and text. */
  readonly words: number;
  /** What the table behind the words and the text behind that say; empty for none. */
  readonly table: string;
  readonly text: string;
  readonly flags: { readonly prefix: string; readonly list: readonly Flag[] };
}

export interface Cursor {
  readonly word: number;
  readonly name: string;
  readonly is: string;
}

export interface RingPlace {
  readonly byte: number;
  readonly bytes: number;
  readonly name: string;
  readonly is: string;
}

export interface Records {
  readonly cursors: readonly Cursor[];
  readonly rings: readonly RingPlace[];
  /** Bytes of the whole memory. */
  readonly memoryBytes: number;
  readonly constants: readonly { readonly name: string; readonly value: number; readonly is: string }[];
  /** Kind of the filler at a ring's end. */
  readonly wrap: number;
  readonly records: readonly RecordTable[];
}

export interface ReasonRow {
  readonly number: number;
  readonly code: string;
  readonly side: string;
  readonly status: number;
  readonly retry: string;
  readonly grpc: number;
  readonly title: string;
}

/** First words of every record: size, kind, the exchange's index and generation. */
const COMMON_WORDS = 4;
export const SIDES = ['none', 'downstream', 'upstream', 'internal', 'config'] as const;
export const RETRIES = ['never', 'if-unsent', 'safe'] as const;
/** Reasons have numbers below it. */
const REASON_NUMBERS = 128;
/** A flag is a bit that keeps a number positive in JavaScript. */
const MAX_FLAGS = 31;

const SNAKE = /^[a-z][a-z0-9]*(_[a-z0-9]+)*$/;
const LOUD = /^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$/;

/** Somewhere in a file, for mistakes and for reading what stands there. */
class Place {
  private readonly where: string;
  private readonly value: Readonly<Record<string, unknown>>;

  constructor(where: string, value: unknown, keys: readonly string[]) {
    this.where = where;
    if (value === null || typeof value !== 'object' || Array.isArray(value)) this.fail(`${JSON.stringify(value)} is no mapping`);
    this.value = value as Record<string, unknown>;
    for (const key of Object.keys(this.value)) {
      if (!keys.includes(key)) this.fail(`'${key}' is not known here, but ${keys.join(', ')}`);
    }
  }

  fail(what: string): never {
    throw new Error(`${this.where}: ${what}`);
  }

  has(key: string): boolean {
    return this.value[key] !== undefined;
  }

  number(key: string, most = 0xffff_ffff): number {
    const given = this.value[key];
    if (typeof given === 'number' && Number.isInteger(given) && given >= 0 && given <= most) return given;
    return this.fail(`${key} is ${JSON.stringify(given)}, not a whole number from 0 to ${most}`);
  }

  text(key: string, form = /\S/, otherwise?: string): string {
    const given = this.value[key] ?? otherwise;
    if (typeof given === 'string' && (form.test(given) || given === otherwise)) return given;
    return this.fail(`${key} is ${JSON.stringify(given)}, not text of the form ${form.source}`);
  }

  choice<const Choice extends string>(key: string, choices: readonly Choice[]): Choice {
    const found = choices.find((choice) => choice === this.value[key]);
    return found ?? this.fail(`${key} is ${JSON.stringify(this.value[key])}, not one of ${choices.join(', ')}`);
  }

  flag(key: string): boolean {
    const given = this.value[key] ?? false;
    return typeof given === 'boolean' ? given : this.fail(`${key} is ${JSON.stringify(given)}, not true or false`);
  }

  part(key: string, keys: readonly string[]): Place {
    return new Place(`${this.where}, ${key}`, this.value[key], keys);
  }

  strings(key: string): readonly string[] {
    const given = this.value[key];
    return Array.isArray(given) ? given.map(String) : this.fail(`${key} is ${JSON.stringify(given)}, not a list`);
  }

  /** The members of a list; each is called by its name or number where it has one. */
  list(key: string, keys: readonly string[]): Place[] {
    const given = this.value[key];
    if (!Array.isArray(given)) return this.fail(`${key} is ${JSON.stringify(given)}, not a list`);
    return given.map((member, number) => {
      const { at, name, code } = (member ?? {}) as Record<string, unknown>;
      return new Place(`${this.where}, ${name ?? code ?? (at === undefined ? `${key} ${number}` : `word ${at}`)}`, member, keys);
    });
  }
}

/** The table of records. Throws at the first mistake. */
export function readRecords(text: string = readFileSync(join(ROOT, RECORDS_FILE), 'utf8')): Records {
  const file = new Place(RECORDS_FILE, load(text), ['memory', 'constants', 'wrap', 'records']);
  const memory = file.part('memory', ['cursors', 'rings']);
  const rings = memory.list('rings', ['byte', 'bytes', 'name', 'is']).map(readRing);
  const cursors = memory.list('cursors', ['word', 'name', 'is']).map((place) => readCursor(place, rings[0]?.byte ?? 0));
  const constants = file.list('constants', ['name', 'value', 'is']).map((place) => {
    return { name: place.text('name', LOUD), value: place.number('value'), is: place.text('is') };
  });
  const wrap = file.number('wrap');
  const records = file.list('records', ['name', 'kind', 'to', 'is', 'typescript', 'words', 'table', 'text', 'flags']).map(readRecord);
  once(
    file,
    'word',
    cursors.map(({ word }) => String(word)),
  );
  once(file, 'kind', [wrap, ...records.map(({ kind }) => kind)].map(String));
  once(file, 'name', [
    ...[...cursors, ...rings].map(({ name }) => name.toUpperCase()),
    ...constants.map(({ name }) => name),
    ...records.map(({ name }) => loud(name)),
    ...records.flatMap(({ flags }) => flags.list.map(({ name }) => `${flags.prefix}_${name}`)),
  ]);
  let memoryBytes = rings[0]?.byte ?? 0;
  for (const { byte, bytes, name } of rings) {
    if (byte !== memoryBytes) file.fail(`${name} begins at byte ${byte}, not where what stands before it ends, at ${memoryBytes}`);
    memoryBytes += bytes;
  }
  return { cursors, rings, memoryBytes, constants, wrap, records };
}

function readRing(place: Place): RingPlace {
  const ring = { byte: place.number('byte'), bytes: place.number('bytes'), name: place.text('name', SNAKE), is: place.text('is') };
  if (ring.byte % 8 !== 0) place.fail(`byte is ${ring.byte}, not a multiple of 8`);
  if (ring.bytes < 8 || (ring.bytes & (ring.bytes - 1)) !== 0) place.fail(`bytes is ${ring.bytes}, not a power of two`);
  return ring;
}

function readCursor(place: Place, firstRing: number): Cursor {
  const cursor = { word: place.number('word'), name: place.text('name', SNAKE), is: place.text('is') };
  if (cursor.word * 4 >= firstRing) place.fail(`word is ${cursor.word}, which lies in the first ring: it begins at byte ${firstRing}`);
  return cursor;
}

function readRecord(place: Place): RecordTable {
  const rows = place.list('words', ['at', 'name', 'low', 'high', 'type', 'on_demand', 'is']).map(readRow);
  let words = COMMON_WORDS;
  for (const { at, words: count, type } of rows) {
    if (at !== words) place.fail(`word ${at} stands where word ${words} has to`);
    if (type === 'f64' && at % 2 !== 0) place.fail(`word ${at} is an f64, which lies on 8 bytes: on an even word`);
    words += count;
  }
  const names = rows.flatMap((row) => row.names);
  once(place, 'name', names);
  const languages = place.strings('typescript');
  const flags = place.has('flags') ? readFlags(place.part('flags', ['prefix', 'list'])) : { prefix: '', list: [] };
  if (flags.list.length > 0 !== names.includes('flags')) place.fail('a word called flags and a list of flags go together');
  return {
    name: place.text('name', /^([A-Z][a-z]+)+$/),
    kind: place.number('kind'),
    to: place.choice('to', ['lane', 'reactor']),
    is: place.text('is'),
    isRead: languages.includes('read'),
    isWritten: languages.includes('write'),
    rows,
    words,
    table: place.text('table', /\S/, ''),
    text: place.text('text', /\S/, ''),
    flags,
  };
}

function readRow(place: Place): Row {
  const at = place.number('at');
  if (place.has('low') || place.has('high')) {
    if (place.has('name') || place.has('type')) place.fail('a word with low and high has no name and no type besides');
    const names = [place.text('low', SNAKE), place.text('high', SNAKE)];
    return { at, words: 1, type: 'pair', names, isOnDemand: place.flag('on_demand'), is: place.text('is') };
  }
  const type = place.choice('type', ['u32', 'f64', 'u64', 'memo', 'address', 'zero']);
  if (type === 'zero') return { at, words: 1, type, names: [], isOnDemand: false, is: '0' };
  const name = place.text('name', SNAKE);
  return { at, words: WORDS[type], type, names: [name], isOnDemand: place.flag('on_demand'), is: place.text('is') };
}

function readFlags(place: Place): RecordTable['flags'] {
  const list = place
    .list('list', ['name', 'is'])
    .map((flag, bit) => ({ bit: 1 << bit, name: flag.text('name', LOUD), is: flag.text('is') }));
  if (list.length > MAX_FLAGS) place.fail(`${list.length} flags are more than a word takes, ${MAX_FLAGS}`);
  return { prefix: place.text('prefix', LOUD), list };
}

/** The registry of reasons. Throws at the first mistake. */
export function readReasons(text: string = readFileSync(join(ROOT, REASONS_FILE), 'utf8')): ReasonRow[] {
  const file = new Place(REASONS_FILE, load(text), ['reasons']);
  const rows = file.list('reasons', ['number', 'code', 'side', 'status', 'retry', 'grpc', 'title']).map((place) => ({
    number: place.number('number', REASON_NUMBERS - 1),
    code: place.text('code', SNAKE),
    side: place.choice('side', SIDES),
    status: place.number('status', 599),
    retry: place.choice('retry', RETRIES),
    grpc: place.number('grpc', 16),
    title: place.text('title', /^[A-Z].*[^.]$/),
  }));
  once(
    file,
    'code',
    rows.map(({ code }) => code),
  );
  for (const [place, { number, code }] of rows.entries()) {
    const before = rows[place - 1];
    if (before !== undefined && before.number >= number)
      file.fail(`${code} has the number ${number}, after ${before.number}: numbers rise`);
  }
  return rows;
}

function once(place: Place, what: string, names: readonly string[]): void {
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) place.fail(`the ${what} ${twice} is given twice`);
}

/** `AttemptFailed` as constants have it. */
export function loud(name: string): string {
  return name.replaceAll(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase();
}

/** `peer_port` as TypeScript has it. */
export function camel(name: string): string {
  return name.replaceAll(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** `peer_port` as types have it. */
export function pascal(name: string): string {
  return camel(`_${name}`);
}

/** As a sentence of a comment. */
export function sentence(text: string): string {
  return `${text[0]!.toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`;
}
