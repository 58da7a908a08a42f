/** The text of files that are made, in either language. */

import { filled } from '../../src/base/fill.ts';

/** Columns of code. */
export const COLUMNS = 140;

const COMMENT_COLUMNS = 100;

/** The first line of a file that is made from `table`. */
export function firstLine(table: string): string {
  return `// Made by \`npm run records\` from ${table}, not by hand.`;
}

/** Lines of a comment, each behind `mark`. */
export function comment(text: string, mark: string): string[] {
  return filled(text, COMMENT_COLUMNS, { first: mark, rest: mark });
}

/** A whole number with its thousands apart. */
export function grouped(number: number): string {
  return String(number).replaceAll(/\B(?=(\d{3})+$)/g, '_');
}

/** A text of whole lines. */
export function lines(all: readonly string[]): string {
  return `${all.join('\n')}\n`;
}
