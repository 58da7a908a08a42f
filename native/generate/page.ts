/**
 * The tables of docs/design/records.md, each between a comment that names it and one that ends it.
 */

import type { ReasonRow, Records, RecordTable, Row } from './table.ts';

/**
 * `page` with its tables as the registries have them. Throws for a table that has no place there,
 * and for a place that no table is for.
 */
export function pageWith(page: string, records: Records, reasons: readonly ReasonRow[]): string {
  const tables = new Map<string, string[]>([
    ['memory', memoryTable(records)],
    ...records.records.map((record): [string, string[]] => [record.name, recordTable(record)]),
    ['reasons', reasonTable(reasons)],
  ]);
  const found = new Set<string>();
  const text = page.replaceAll(/<!-- table: (\w+) -->\n(?:.*\n)*?<!-- end -->/g, (_, name: string) => {
    const table = tables.get(name);
    if (table === undefined) throw new Error(`docs/design/records.md has a place for the table ${name}, which is not known`);
    found.add(name);
    return [`<!-- table: ${name} -->`, '', ...table, '', '<!-- end -->'].join('\n');
  });
  for (const name of tables.keys()) {
    if (!found.has(name))
      throw new Error(`docs/design/records.md has no place for the table ${name}: <!-- table: ${name} --> … <!-- end -->`);
  }
  return text;
}

function memoryTable({ cursors, rings }: Records): string[] {
  return [
    ...head('place', 'what'),
    ...cursors.map(({ word, name, is }) => `| word ${word} | ${name.replaceAll('_', ' ')}: ${is} |`),
    ...rings.map(({ byte, bytes, is }) => `| byte ${byte} | ${is}, ${bytes / 1024} KiB (2^${Math.log2(bytes)}) |`),
  ];
}

function recordTable({ rows, flags, words, table, text }: RecordTable): string[] {
  return [
    ...head('word', 'value'),
    '| 2, 3 | exchange: index, generation |',
    ...rows.map((row) => `| ${places(row)} | ${row.type === 'u64' || row.type === 'f64' ? `${row.type} ` : ''}${row.is} |`),
    ...(table === '' ? [] : [`| ${words} … | ${table} |`]),
    ...(text === '' ? [] : [`| ${table === '' ? `${words} …` : 'then'} | text: ${text}; padded |`]),
    ...(flags.list.length === 0
      ? []
      : [
          '',
          ...head('flag', `\`${flags.prefix}_…\``, 'meaning'),
          ...flags.list.map(({ bit, name, is }) => `| ${bit} | ${name} | ${is} |`),
        ]),
  ];
}

/** Words of a row, and which half of it is which. */
function places({ at, words, type }: Row): string {
  if (type === 'pair') return `${at} (low 16, high 16)`;
  if (words === 1) return String(at);
  return words === 2 ? `${at}, ${at + 1}` : `${at}-${at + words - 1}`;
}

function reasonTable(reasons: readonly ReasonRow[]): string[] {
  return [
    ...head('number', 'code', 'side', 'status', 'gRPC status', 'retry'),
    ...reasons.map(({ number, code, side, status, grpc, retry }) => {
      return `| ${number} | ${code} | ${side === 'none' ? '–' : side} | ${status === 0 ? '–' : status} | ${grpc} | ${number === 0 ? '–' : retry} |`;
    }),
  ];
}

function head(...columns: readonly string[]): string[] {
  return [`| ${columns.join(' | ')} |`, `|${columns.map(() => '---').join('|')}|`];
}
