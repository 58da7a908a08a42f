/** Prose that is broken into lines of a width, for the pages and the example that are generated. */

/** Where a line begins: the first, and those that follow it. */
export interface Margins {
  first: string;
  rest: string;
}

/**
 * Breaks a text between words, not inside of `code`, so that lines have at most so many columns;
 * one word may be longer.
 */
export function filled(text: string, columns: number, { first, rest }: Margins): string[] {
  const lines: string[] = [];
  let line = first;
  let isBegun = false;
  for (const word of text.match(/(`[^`]*`|[^\s`])+/g) ?? []) {
    if (isBegun && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = rest;
      isBegun = false;
    }
    line += isBegun ? ` ${word}` : word;
    isBegun = true;
  }
  return isBegun ? [...lines, line] : lines;
}
