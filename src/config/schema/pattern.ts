/**
 * Patterns and what they are replaced by. Patterns are RE2: matched in linear time whatever the
 * client sends, so without back-references and look-around.
 */

import { RE2JS } from 're2js';
import { remembered } from './once.ts';
import type { TextRule } from './values.ts';

/** Longer patterns are a program, not a rule. */
const MAX_LENGTH = 2048;

/** An RE2 pattern. */
export const PATTERN_RULE: TextRule = {
  expected: 'a regular expression of RE2, which has no back-references and no look-around',
  range: 'RE2 pattern',
  normalise: (given) => (given !== '' && given.length <= MAX_LENGTH && faultOf(given) === undefined ? given : undefined),
  explain: (given) => (given === '' ? 'is empty' : given.length > MAX_LENGTH ? 'is too long' : `is no pattern: ${faultOf(given) ?? ''}`),
};

/** Longer ones of a name are no rule about names. */
const MAX_NAME_PATTERN = 256;

/**
 * What RE2 and the reactor's engine read alike, and what stays as small as it is written: counted
 * repetition does not.
 */
const PLAIN_PATTERN =
  /^(?:[\w!#%&'`~-]|\\[.+*?^$|()[\]{}\\dw-]|\.|\[\^?(?:[\w.!#$%'*+`|]|-(?!-)|\\[.+*?^$|()[\]{}\\-])+\]|\((?:\?:)?(?!\?)|\)|[|*+?^$])*$/;

/** A pattern of names of fields, with which every name of a head is compared. */
export const NAME_PATTERN_RULE: TextRule = {
  expected: `a regular expression of up to ${MAX_NAME_PATTERN} characters: names with . [a-z] \\d \\w ( ) | * + ? ^ $, without { }, flags and Unicode classes`,
  range: 'pattern',
  normalise: (given) => (given.length <= MAX_NAME_PATTERN && PLAIN_PATTERN.test(given) ? PATTERN_RULE.normalise(given) : undefined),
  explain: (given) => {
    if (given.length > MAX_NAME_PATTERN) return 'is too long';
    return PATTERN_RULE.normalise(given) === undefined ? PATTERN_RULE.explain?.(given) : 'has more than patterns of names may have';
  },
};

/** What takes the place of what a pattern matched; `$1` to `$9` are its groups. */
export const REPLACEMENT_RULE: TextRule = {
  expected: 'a path, with ? and a query or without, with $1 to $9 for the groups of the pattern',
  range: 'path, path?query, `$1` to `$9`',
  normalise: (given) =>
    /^(?:[\w\-.~!&'()*+,;=:@/?]|%[0-9A-Fa-f]{2}|\$[1-9])*$/.test(given) && given.length <= MAX_LENGTH ? given : undefined,
};

/** Groups of a pattern that compiles. */
export function groupsOf(pattern: string): number {
  return RE2JS.compile(pattern).groupCount();
}

/** The highest group a replacement asks for; 0 for none. */
export function highestGroup(replacement: string): number {
  return Math.max(0, ...[...replacement.matchAll(/\$(\d)/g)].map(([, digit]) => Number(digit)));
}

/**
 * What is wrong with a pattern; most are asked about again, by the next reload if by nobody else.
 */
const faultOf = remembered((pattern: string): string | undefined => {
  try {
    RE2JS.compile(pattern);
    return undefined;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return (text.split('\n', 1)[0] ?? '').replace(/^error parsing regexp: /, '');
  }
});
