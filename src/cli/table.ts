/** Tables for terminals: columns as wide as their widest cell, numbers to the right. */

/** One column: its title, and whether its cells are numbers. */
export interface Column {
  readonly title: string;
  readonly isNumber?: boolean;
}

/** The lines of a table, without trailing blanks, each ended. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const widths = columns.map(({ title }, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    `${cells.map((cell, i) => (columns[i]?.isNumber === true ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0))).join('  ')}`.trimEnd();
  return `${[columns.map(({ title }) => title), ...rows].map(line).join('\n')}\n`;
}
