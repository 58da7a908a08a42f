/** The numbers of one kind: who has which, given and put in force. */

/** Whether a number that was removed then may be given to something else. */
export type IsFree = (removedMs: number | undefined, number: number) => boolean;

/** One kind: who has which number. */
export interface Numbers {
  /** By number; stays when what has the name is removed. */
  readonly keys: string[];
  /** When it was removed; undefined while it is in use. */
  readonly removedMs: (number | undefined)[];
}

/**
 * A number for each key: the one it has, or had and nobody got since, else the lowest that is free.
 * Undefined where there are too few.
 */
export function give(
  { keys: known, removedMs }: Numbers,
  keys: readonly string[],
  room: number,
  isFree: IsFree,
): { numbers: number[]; fresh: number[] } | undefined {
  const having = new Map(known.map((key, number) => [key, number]));
  const kept = new Set(keys.flatMap((key) => having.get(key) ?? []));
  const fresh: number[] = [];
  let lowest = 0;
  const numbers: number[] = [];
  for (const key of keys) {
    const had = having.get(key);
    if (had !== undefined) {
      numbers.push(had);
      continue;
    }
    while (lowest < known.length && (kept.has(lowest) || !isFree(removedMs[lowest], lowest))) lowest += 1;
    if (lowest >= room) return undefined;
    fresh.push(lowest);
    numbers.push(lowest++);
  }
  return { numbers, fresh };
}

export function settle({ keys: known, removedMs }: Numbers, keys: readonly string[], numbers: readonly number[], nowMs: number): void {
  const used = new Set(numbers);
  for (const [place, number] of numbers.entries()) {
    known[number] = keys[place]!;
    removedMs[number] = undefined;
  }
  for (let number = 0; number < known.length; number++) if (!used.has(number)) removedMs[number] ??= nowMs;
}

export function place<T>(
  items: readonly T[],
  numbers: readonly number[],
  last: readonly T[] | undefined,
  removed: (item: T, number: number) => T,
  moved: (item: T) => T,
): T[] {
  const list = Array.from({ length: lengthFor(numbers, last?.length ?? 0) }, (_, number) => last?.[number]);
  const used = new Set(numbers);
  for (const [number, item] of list.entries()) if (item !== undefined && !used.has(number)) list[number] = removed(item, number);
  for (const [at, item] of items.entries()) list[numbers[at]!] = moved(item);
  // Numbers are given from the lowest, so none is left out.
  return list as T[];
}

function lengthFor(numbers: readonly number[], least: number): number {
  return numbers.reduce((length, number) => Math.max(length, number + 1), least);
}
