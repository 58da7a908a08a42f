/**
 * What Rust has of the tables: constants and words of records, and the registry of reasons. Written
 * as rustfmt leaves it.
 */

import {
  loud,
  pascal,
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

/** Lines of a doc comment. */
function doc(text: string, indent = ''): string[] {
  return comment(text.replaceAll('µs', 'microseconds'), `${indent}/// `);
}

/** native/core/src/record/layout.rs */
export function layoutRust({ cursors, rings, memoryBytes, constants, wrap, records }: Records): string {
  return lines([
    firstLine(RECORDS_FILE),
    '//! Where the rings lie in the memory that reactor and lane share, kinds of records, and flags: what',
    '//! `docs/design/records.md` explains and `src/record/layout.ts` has by the same names.',
    '',
    ...cursors.flatMap(({ word, name, is }) => [...doc(sentence(`word: ${is}`)), `pub const ${name.toUpperCase()}_WORD: usize = ${word};`]),
    '',
    ...rings.flatMap(({ byte, bytes, name, is }) => [
      ...doc(`Where the ${is} begins.`),
      `pub const ${name.toUpperCase()}_BYTE: usize = ${grouped(byte)};`,
      ...doc(`Bytes of the ${is}.`),
      `pub const ${name.toUpperCase()}_BYTES: usize = ${grouped(bytes)};`,
    ]),
    '/// Bytes of the whole memory.',
    `pub const MEMORY_BYTES: usize = ${grouped(memoryBytes)};`,
    '',
    ...constants.flatMap(({ name, value, is }) => {
      const type = name.startsWith('MAX_') ? 'usize' : 'u32';
      return [...doc(is), `pub const ${name}: ${type} = ${value === 0xffff_ffff ? 'u32::MAX' : value};`];
    }),
    '',
    "/// Kind of the filler at a ring's end.",
    `pub const KIND_WRAP: u32 = ${wrap};`,
    ...records.flatMap(({ name, kind, is }) => [...doc(`Kind of a \`${name}\`. ${is}`), `pub const KIND_${loud(name)}: u32 = ${kind};`]),
    ...records.flatMap(({ name, flags }) => [
      ...(flags.list.length > 0 ? [''] : []),
      ...flags.list.flatMap((flag) => [
        ...doc(sentence(`\`${name}\`: ${flag.is}`)),
        `pub const ${flags.prefix}_${flag.name}: u32 = ${grouped(flag.bit)};`,
      ]),
    ]),
  ]);
}

/** native/core/src/record/words.rs */
export function wordsRust({ records }: Records): string {
  return lines([
    firstLine(RECORDS_FILE),
    '//! The words of each record before its table and text, by name. Sizes and kinds come with them.',
    '',
    'use super::layout;',
    'use crate::base::slab::Key;',
    '',
    "/// A record's kind. None where there is no room for one.",
    'pub fn kind_of(record: &[u8]) -> Option<u32> {',
    '    record.as_chunks::<4>().0.get(1).map(|word| u32::from_le_bytes(*word))',
    '}',
    '',
    '/// Two numbers of 16 bits in one word.',
    'pub(super) fn pair(low: u16, high: u16) -> [u8; 4] {',
    '    (u32::from(low) | u32::from(high) << 16).to_le_bytes()',
    '}',
    '',
    'fn low(word: [u8; 4]) -> u16 {',
    '    u16::from_le_bytes([word[0], word[1]])',
    '}',
    '',
    'fn high(word: [u8; 4]) -> u16 {',
    '    u16::from_le_bytes([word[2], word[3]])',
    '}',
    '',
    '/// Two words of one number, the low one first.',
    'fn halves(number: u64) -> [[u8; 4]; 2] {',
    '    [(number as u32).to_le_bytes(), ((number >> 32) as u32).to_le_bytes()]',
    '}',
    '',
    'fn whole(low: [u8; 4], high: [u8; 4]) -> u64 {',
    '    u64::from(u32::from_le_bytes(low)) | u64::from(u32::from_le_bytes(high)) << 32',
    '}',
    ...records.flatMap(recordRust),
  ]);
}

const TYPES = { u32: 'u32', f64: 'f64', u64: 'u64', memo: '[u32; 3]', address: '[u8; 16]', pair: 'u16', zero: '' } as const;

function recordRust(record: RecordTable): string[] {
  const { name, words, rows, is } = record;
  const fields = rows.flatMap((row) => row.names.map((field, place) => ({ row, field, place })));
  const initial = ['exchange: Key { index: u32::from_le_bytes(words[2]), generation: u32::from_le_bytes(words[3]) }'];
  for (const { row, field, place } of fields) initial.push(`${field}: ${readRust(row, place)}`);
  return [
    '',
    ...doc(`Words of a \`${name}\`. ${is}`),
    '#[derive(Clone, Copy, Debug, PartialEq)]',
    `pub struct ${name}Words {`,
    '    /// Index and generation of the exchange.',
    '    pub exchange: Key,',
    ...fields.flatMap(({ row, field, place }) => [
      ...doc(row.type === 'pair' ? `${sentence(row.is)} This is the ${place === 0 ? 'first' : 'second'}.` : sentence(row.is), '    '),
      `    pub ${field}: ${TYPES[row.type]},`,
    ]),
    '}',
    '',
    `impl ${name}Words {`,
    "    /// How many there are, the record's size and kind included.",
    `    pub const COUNT: usize = ${words};`,
    '    /// Bytes of them.',
    `    pub const BYTES: usize = ${words * 4};`,
    '',
    '    /// Writes them into a record and gives what follows them. None where the record is shorter.',
    '    #[inline]',
    "    pub fn write<'a>(&self, record: &'a mut [u8]) -> Option<&'a mut [u8]> {",
    '        let size = record.len() as u32;',
    '        let (words, rest) = record.as_chunks_mut::<4>().0.split_first_chunk_mut::<{ Self::COUNT }>()?;',
    '        words[0] = size.to_le_bytes();',
    `        words[1] = layout::KIND_${loud(name)}.to_le_bytes();`,
    '        words[2] = self.exchange.index.to_le_bytes();',
    '        words[3] = self.exchange.generation.to_le_bytes();',
    ...rows.map((row) => `        ${writeRust(row)}`),
    '        Some(rest.as_flattened_mut())',
    '    }',
    '',
    '    /// Reads them from a record and gives what follows them. None where the record is shorter.',
    '    #[inline]',
    `    pub fn read(record: &[u8]) -> Option<(${name}Words, &[u8])> {`,
    '        let (words, rest) = record.as_chunks::<4>().0.split_first_chunk::<{ Self::COUNT }>()?;',
    ...literal(`        let read = ${name}Words`, initial),
    '        Some((read, rest.as_flattened()))',
    '    }',
    '}',
  ];
}

function writeRust({ at, type, names }: Row): string {
  const [name, second] = names;
  switch (type) {
    case 'pair':
      return `words[${at}] = pair(self.${name}, self.${second});`;
    case 'f64':
      return `[words[${at}], words[${at + 1}]] = halves(self.${name}.to_bits());`;
    case 'u64':
      return `[words[${at}], words[${at + 1}]] = halves(self.${name});`;
    case 'memo':
      return `[words[${at}], words[${at + 1}], words[${at + 2}]] = self.${name}.map(u32::to_le_bytes);`;
    case 'address':
      return `words[${at}..${at + 4}].as_flattened_mut().copy_from_slice(&self.${name});`;
    case 'zero':
      return `words[${at}] = [0; 4];`;
    case 'u32':
      return `words[${at}] = self.${name}.to_le_bytes();`;
  }
}

function readRust({ at, type }: Row, place: number): string {
  switch (type) {
    case 'pair':
      return `${place === 0 ? 'low' : 'high'}(words[${at}])`;
    case 'f64':
      return `f64::from_bits(whole(words[${at}], words[${at + 1}]))`;
    case 'u64':
      return `whole(words[${at}], words[${at + 1}])`;
    case 'memo':
      return `[words[${at}], words[${at + 1}], words[${at + 2}]].map(u32::from_le_bytes)`;
    case 'address':
      return `words[${at}..${at + 4}].as_flattened().try_into().unwrap_or_default()`;
    default:
      return `u32::from_le_bytes(words[${at}])`;
  }
}

/** A struct on one line where it fits. */
function literal(start: string, fields: readonly string[]): string[] {
  const whole = `${start} { ${fields.join(', ')} };`;
  if (whole.length <= COLUMNS) return [whole];
  return [`${start} {`, ...fields.map((field) => `            ${field},`), '        };'];
}

/** native/core/src/base/reason/table.rs */
export function reasonsRust(reasons: readonly ReasonRow[]): string {
  const variant = (text: string) => pascal(text.replaceAll('-', '_'));
  return lines([
    firstLine(REASONS_FILE),
    '//! The registry of reasons: numbers that stand in records, codes, and what follows from each.',
    '',
    '/// Whose failure a reason is.',
    '#[derive(Clone, Copy, Debug, PartialEq, Eq)]',
    'pub enum Side {',
    ...SIDES.flatMap((side) => [`    /// ${SIDE_TEXT[side]}`, `    ${variant(side)},`]),
    '}',
    '',
    '/// Whether another attempt may be made after a failure.',
    '#[derive(Clone, Copy, Debug, PartialEq, Eq)]',
    'pub enum Retry {',
    ...RETRIES.flatMap((retry) => [`    /// ${RETRY_TEXT[retry]}`, `    ${variant(retry)},`]),
    '}',
    '',
    '/// A reason; `as u32` is its number in records.',
    '#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]',
    '#[repr(u32)]',
    'pub enum Reason {',
    ...reasons.flatMap(({ number, code, title }) => [...doc(`${title}.`, '    '), `    ${variant(code)} = ${number},`]),
    '}',
    '',
    '/// What the registry says of a reason.',
    '#[derive(Clone, Copy, Debug, PartialEq, Eq)]',
    'pub struct Entry {',
    '    /// The reason.',
    '    pub reason: Reason,',
    '    /// Stable name in logs, metrics and answers.',
    "    pub code: &'static str,",
    '    /// Whose failure it is.',
    '    pub side: Side,',
    '    /// Status a client gets, 0 when none follows from the reason.',
    '    pub status: u16,',
    '    /// Whether another attempt may help.',
    '    pub retry: Retry,',
    '    /// Status in the gRPC protocol.',
    '    pub grpc_status: u32,',
    '}',
    '',
    "const fn entry(reason: Reason, code: &'static str, side: Side, status: u16, retry: Retry, grpc_status: u32) -> Entry {",
    '    Entry { reason, code, side, status, retry, grpc_status }',
    '}',
    '',
    '/// Every reason, ordered by number.',
    'pub const ALL: &[Entry] = &[',
    ...reasons.map(({ code, side, status, retry, grpc }) => {
      return `    entry(Reason::${variant(code)}, "${code}", Side::${variant(side)}, ${status}, Retry::${variant(retry)}, ${grpc}),`;
    }),
    '];',
  ]);
}

const SIDE_TEXT = {
  none: 'No failure.',
  downstream: "The client's.",
  upstream: "The backend's.",
  internal: 'Our own.',
  config: 'What the configuration asks for.',
} as const;

const RETRY_TEXT = {
  never: 'Not at all.',
  'if-unsent': 'When nothing was sent to the backend, whatever the method.',
  safe: 'When the request is safe to repeat (RFC 9110 §9.2.2).',
} as const;
