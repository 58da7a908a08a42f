/** The generation: a name for a configuration and everything it points at, equal exactly when these are equal. */

import { hash } from 'node:crypto';
import type { Config } from './schema/config.ts';

/** A part whose text is longer is named by its own digest, which thousands of routes that have the same part have in common. */
const MAX_TEXT = 96;

/** Different sets of keys that are known; labels and fields may have any. */
const MAX_ORDERS = 256;

/** SHA-256, hex, of the canonical form: the configuration with its defaults, and the digests of its files by path. */
export function generationOf(config: Config, digests: Readonly<Record<string, string>>): string {
  return hash('sha256', textOf({ config, digests }, new Map(), new Map()), 'hex');
}

/** JSON with its keys in order, and digests in the place of long parts. `known` has those of parts that were met. */
function textOf(value: unknown, known: Map<object, string>, orders: Orders): string {
  if (value === null || typeof value !== 'object') return value === undefined ? '' : JSON.stringify(value);
  const met = known.get(value);
  if (met !== undefined) return met;
  let text: string;
  if (Array.isArray(value)) text = `[${value.map((item) => textOf(item, known, orders)).join()}]`;
  else {
    text = '{';
    const parts = value as Readonly<Record<string, unknown>>;
    for (const [key, written] of inOrder(Object.keys(parts), orders)) {
      const part = textOf(parts[key], known, orders);
      if (part !== '') text += `${written}:${part},`;
    }
    text += '}';
  }
  // No text of a value begins with it.
  if (text.length > MAX_TEXT) text = `#${hash('sha256', text, 'base64')}`;
  // What is frozen may be part of many.
  if (Object.isFrozen(value)) known.set(value, text);
  return text;
}

/** Keys in order, each as JSON has it too, by how many there are and what they are. */
type Orders = Map<string, { readonly keys: readonly string[]; readonly ordered: readonly (readonly [key: string, written: string])[] }>;

/** Parts with the same keys are in order once they have been sorted. */
function inOrder(keys: readonly string[], orders: Orders): readonly (readonly [string, string])[] {
  const name = keys.join();
  const known = orders.get(name);
  // Keys may hold a comma.
  if (known?.keys.length === keys.length && known.keys.every((key, place) => key === keys[place])) return known.ordered;
  const ordered = keys.toSorted().map((key) => [key, JSON.stringify(key)] as const);
  if (orders.size < MAX_ORDERS) orders.set(name, { keys, ordered });
  return ordered;
}
