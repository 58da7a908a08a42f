/**
 * The first look at a configuration: js-yaml, which is several times as fast as the parser that
 * keeps positions. Whatever it does not like, and whatever the two understand differently, is left
 * to the other, which says what is wrong and where. So this one may give up whenever it likes, but
 * what it gives is what the other would.
 */

import { CORE_SCHEMA, defineMappingTag, load, Schema } from 'js-yaml';

/** Deeper is left to the other. */
const MAX_DEPTH = 48;

/** Line ends and blanks of other kinds, tabs, what is no text, and the mark of an encoding. */
const UNUSUAL = /[^\n -~\u00a0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd]/;

/** Quoted texts and comments, which may hold anything. */
const QUOTED = /(?<=^|[\s{[,])(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\n]|'')*'|#[^\n]*)/g;

/** What anchors, aliases, tags, directives, keys by themselves and documents begin with. */
const RARE = /(?:^|[ {[,])(?:[&*!?%]|---|\.\.\.)/m;

/**
 * What the two read differently: a number beyond all numbers, block texts that say how far in they
 * are, a line that a backslash ends, and something right behind a quoted text or behind a list or a
 * mapping of one line.
 */
const UNLIKE = /\\$|\d[eE]\+?\d{3}|[|>][-+]*\d|""[^\s,\]}:]|(?:^|(?:^| )[{[].*)[\]}] *[^\s,\]}:]/m;

/**
 * Mappings as the other parser makes them: keys are texts, none stands twice, and none is of a
 * prototype.
 */
const TEXT_KEYS = defineMappingTag<Record<string, unknown>>('tag:yaml.org,2002:map', {
  create: () => ({}),
  addPair(into, key, value) {
    if (typeof key !== 'string' || key === '' || key === '__proto__') return 'a key of another kind';
    into[key] = value;
    return '';
  },
  has: (into, key) => typeof key === 'string' && Object.hasOwn(into, key),
  keys: Object.keys,
  get: (of, key) => of[String(key)],
  identify: () => false,
});

const SCHEMA = new Schema([...CORE_SCHEMA.tags.filter(({ nodeKind }) => nodeKind !== 'mapping'), TEXT_KEYS]);

/**
 * What a text says, or undefined where it is left to the other parser. The root is a mapping or a
 * list.
 */
export function parsePlainYaml(text: string): { readonly value: unknown } | undefined {
  if (UNUSUAL.test(text)) return undefined;
  const marks = (text.startsWith('---\n') ? text.slice(4) : text).replace(QUOTED, (part) => (part.startsWith('#') ? '' : '""'));
  if (RARE.test(marks) || UNLIKE.test(marks)) return undefined;
  try {
    const value = load(text, { schema: SCHEMA, maxDepth: MAX_DEPTH, maxAliases: 0 });
    return typeof value === 'object' && value !== null ? { value } : undefined;
  } catch {
    return undefined;
  }
}
