/**
 * What several checks of agreement have in common: values that may stand once, names that must
 * exist, keys that exclude each other.
 */

import { type Complaint, formatPath, type KeyPath } from '../problem.ts';
import { suggest } from '../suggest.ts';

/**
 * Says of a key that its value is not what the author wrote, so that nothing can be concluded from
 * it.
 */
export type IsMended = (path: KeyPath) => boolean;

/** Remembers where a value was first met and complains when it comes again. */
export class Seen {
  readonly #what: string;
  readonly #isMended: IsMended;
  readonly #first = new Map<string, string | KeyPath>();

  constructor(what: string, isMended: IsMended) {
    this.#what = what;
    this.#isMended = isMended;
  }

  /**
   * `where` is told to whoever has the value after it: in words, or as a path that may lead into
   * another file.
   */
  note(value: string, path: KeyPath, where: string | KeyPath, shown: string = value): Complaint[] {
    if (this.#isMended(path)) return [];
    const first = this.#first.get(value);
    if (first === undefined) {
      this.#first.set(value, where);
      return [];
    }
    const isSame = typeof first === 'string' || typeof where === 'string' ? first === where : formatPath(first) === formatPath(where);
    return [standsAlready(path, shown, isSame ? undefined : first, this.#what)];
  }
}

/** The complaint about a value that stood before: in `first`, or in the same place. */
export function standsAlready(path: KeyPath, shown: string, first: string | KeyPath | undefined, what: string): Complaint {
  const complaint = { path, value: JSON.stringify(shown), expected: `each ${what} to have its own` };
  if (typeof first === 'object') return { ...complaint, message: 'stands already in', rival: first };
  return { ...complaint, message: `stands ${first === undefined ? 'twice' : `already in ${first}`}` };
}

/**
 * Complains of a name that nothing has, with the one that was probably meant. `what` has its
 * article: `an upstream`.
 */
export function checkName(path: KeyPath, name: string, known: readonly string[], what: string): Complaint[] {
  if (known.includes(name)) return [];
  const near = suggest(name, known);
  const message = near === undefined ? `is not ${what}` : `is not ${what}; did you mean ${near}?`;
  const complaint = { path, value: JSON.stringify(name), message };
  if (near !== undefined) return [complaint];
  return [{ ...complaint, expected: known.length === 0 ? 'one to be configured' : `one of ${known.join(', ')}` }];
}

/** A key that does nothing as things are. */
export function meaningless(path: KeyPath, without: string, expected?: string): Complaint {
  const complaint = { path, isAboutKey: true, message: `has no meaning ${without}` };
  return expected === undefined ? complaint : { ...complaint, expected };
}

/** Complains unless exactly one of the keys below `path` is given. */
export function checkOneOf(path: KeyPath, given: Readonly<Record<string, boolean>>): Complaint[] {
  const names = Object.keys(given);
  const expected = `exactly one of ${names.slice(0, -1).join(', ')} and ${names.at(-1) ?? ''}`;
  const [first, ...others] = names.filter((name) => given[name] === true);
  if (first === undefined) return [{ path: [...path, names[0] ?? ''], message: 'is missing', expected }];
  return others.map((name) => ({ path: [...path, name], isAboutKey: true, message: `stands beside ${first}`, expected }));
}

/** Complains of a quantity that is larger than its bound. */
export function checkOrder(
  path: KeyPath,
  small: [string, number],
  large: [string, number],
  format: (value: number) => string,
): Complaint[] {
  const [name, value] = small;
  const [bound, most] = large;
  if (value <= most) return [];
  return [
    { path: [...path, name], value: format(value), message: `is larger than ${bound} (${format(most)})`, expected: `at most ${bound}` },
  ];
}
