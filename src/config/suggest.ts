/**
 * Which known word was probably meant: the nearest by edit distance (optimal string alignment),
 * when it is near enough to be a slip.
 */

/**
 * The nearest of `known` to `word`, or undefined when nothing is near: one edit for each three
 * letters, at most three.
 */
export function suggest(word: string, known: Iterable<string>): string | undefined {
  if (word.length > 64) return undefined;
  let best: string | undefined;
  let bestDistance = Math.min(3, Math.max(1, Math.ceil(word.length / 3))) + 1;
  for (const candidate of known) {
    const distance = editDistance(fold(word), fold(candidate));
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** `idleTimeout`, `idle-timeout` and `idle_timeout` are one word to the one who typed it. */
function fold(word: string): string {
  return word
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .replaceAll('-', '_')
    .toLowerCase();
}

/** Insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b`. */
function editDistance(a: string, b: string): number {
  const at = (table: readonly number[][], row: number, column: number): number => table[row]?.[column] ?? 0;
  const table: number[][] = [Array.from({ length: b.length + 1 }, (_, column) => column)];
  for (let row = 1; row <= a.length; row++) {
    const line = [row];
    table.push(line);
    for (let column = 1; column <= b.length; column++) {
      const cost = a[row - 1] === b[column - 1] ? 0 : 1;
      let least = Math.min(at(table, row - 1, column) + 1, at(table, row, column - 1) + 1, at(table, row - 1, column - 1) + cost);
      const isSwap = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      if (isSwap) least = Math.min(least, at(table, row - 2, column - 2) + 1);
      line.push(least);
    }
  }
  return at(table, a.length, b.length);
}
