/**
 * Whether a pattern can ever match a path: its program is walked over the characters that a path
 * may have. A path is looked at without its query and in its canonical form, so that a pattern that
 * wants a `?` or a blank waits for ever, which nobody would see.
 */

import { RE2JS } from 're2js';
import { remembered } from './once.ts';

/** What a path in canonical form consists of (RFC 3986 §3.3). */
const PATH_CHARACTERS: readonly number[] = Array.from(
  "/ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@%",
  (c) => c.charCodeAt(0),
);
const SLASH = [0x2f];

/** An instruction of re2js's program (`Inst`). */
interface Instruction {
  readonly op: number;
  readonly out: number;
  readonly arg: number;
  matchRune(rune: number): boolean;
}

/** Numbers of the instructions, as `Inst` has them. */
const ALT = 1;
const ALT_MATCH = 2;
const CAPTURE = 3;
const EMPTY_WIDTH = 4;
const FAIL = 5;
const MATCH = 6;
const NOP = 7;
const RUNES: ReadonlySet<number> = new Set([8, 9, 10, 11]);

/** Bits of what an empty-width instruction asks for. */
const BEGIN = 0x01 | 0x04;
const END = 0x02 | 0x08;

/**
 * False where the pattern, which compiles, matches no path: the whole of one, or for `isSearch` no
 * part of one.
 */
export function canMatchPath(pattern: string, isSearch: boolean): boolean {
  return isSearch ? canBeFound(pattern) : canMatch(pattern);
}

const canMatch = remembered((pattern) => isReachable(pattern, false));
const canBeFound = remembered((pattern) => isReachable(pattern, true));

function isReachable(pattern: string, isSearch: boolean): boolean {
  const { prog } = RE2JS.compile(pattern).re2() as unknown as { prog: { inst: readonly Instruction[]; start: number } };
  // What this version of the engine has beside these (look-behind) is not known here, and taken for
  // reachable.
  if (prog.inst.some(({ op }) => op > 11)) return true;
  const { inst, start } = prog;
  const seen = new Set<string>();
  const todo: [at: number, place: 'begin' | 'inside' | 'end'][] = [[start, 'begin']];
  if (isSearch) todo.push([start, 'inside']);
  for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
    const [at, place] = next;
    const key = `${at} ${place}`;
    const instruction = inst[at];
    if (seen.has(key) || instruction === undefined) continue;
    seen.add(key);
    const { op, out, arg } = instruction;
    if (op === MATCH) {
      // A path is never empty.
      if (place !== 'begin' || isSearch) return true;
    } else if (op === ALT || op === ALT_MATCH) todo.push([out, place], [arg, place]);
    else if (op === CAPTURE || op === NOP) todo.push([out, place]);
    else if (op === EMPTY_WIDTH) {
      if ((arg & BEGIN) !== 0 && place !== 'begin') continue;
      // Nothing stands behind the end, and the begin of a path is not its end.
      if ((arg & END) === 0) todo.push([out, place]);
      else if (place !== 'begin') todo.push([out, 'end']);
    } else if (op !== FAIL && RUNES.has(op) && place !== 'end') {
      const characters = place === 'begin' ? SLASH : PATH_CHARACTERS;
      if (characters.some((character) => instruction.matchRune(character))) todo.push([out, 'inside']);
    }
  }
  return false;
}
