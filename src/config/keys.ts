/**
 * Every key the schema knows, in reading order: what the reference page, the example file, the
 * environment and the flags are made from.
 */

import type { z } from 'zod';
import { configSchema } from './schema/config.ts';
import { entryOf, factsOf, itemOf, type KeyFacts, listFactsOf, proseOf, shapeOf, type Written } from './schema/facts.ts';

/** One scalar key. */
export interface Key {
  /**
   * Steps from the root; `[]` stands for any place of a list, `<name>` for any name of a mapping.
   */
  readonly path: readonly string[];
  /** `listeners[].quic.idle_timeout`. */
  readonly name: string;
  readonly facts: KeyFacts;
  /** Of an item of a list: the whole list where it is left out; undefined when it must be given. */
  readonly listFallback?: readonly Written[];
  /** Of an item of a list: the list stands with entries or not at all. */
  readonly isNeverEmpty?: boolean;
  readonly prose: string;
}

/** All scalar keys. */
export function allKeys(): Key[] {
  return [...walk(configSchema, [])];
}

/**
 * Keys that stand once, outside lists and named groups: those that environment and flags can set.
 * The version belongs to the file.
 */
export function settableKeys(): Key[] {
  return allKeys().filter(({ path }) => path[0] !== 'version' && !path.includes('[]') && !path.includes('<name>'));
}

/** Environment variable of a key: `admin.token_file` is `LYCHGATE_ADMIN_TOKEN_FILE`. */
export function environmentName(key: Key): string {
  return `LYCHGATE_${key.path.join('_').toUpperCase()}`;
}

/** Flag of a key: `admin.token_file` is `--admin-token-file`. */
export function flagName(key: Key): string {
  return `--${key.path.join('-').replaceAll('_', '-')}`;
}

function* walk(schema: z.core.$ZodType, path: readonly string[]): Generator<Key> {
  const facts = factsOf(schema);
  const shape = shapeOf(schema);
  const item = itemOf(schema);
  const entry = entryOf(schema);
  if (facts !== undefined) yield { path, name: nameOf(path), facts, prose: proseOf(schema) };
  else if (shape !== undefined) for (const [step, child] of Object.entries(shape)) yield* walk(child, [...path, step]);
  else if (item !== undefined) yield* items(schema, item, [...path, '[]']);
  else if (entry !== undefined) yield* walk(entry, [...path, '<name>']);
}

/** A list of scalars is told of as a whole: what its items are stands in their facts. */
function* items(list: z.core.$ZodType, item: z.core.$ZodType, path: readonly string[]): Generator<Key> {
  const facts = factsOf(item);
  if (facts === undefined) return yield* walk(item, path);
  const { fallback, insteadOfNone } = listFactsOf(list) ?? {};
  const key = { path, name: nameOf(path), facts, prose: proseOf(fallback === undefined ? item : list) };
  yield fallback === undefined ? key : { ...key, listFallback: fallback, isNeverEmpty: insteadOfNone !== undefined };
}

function nameOf(path: readonly string[]): string {
  return path.join('.').replaceAll('.[]', '[]');
}
