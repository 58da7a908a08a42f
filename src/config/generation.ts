/**
 * The generation: a name for a configuration and everything it points at, equal exactly when these
 * are equal.
 */

import { hash } from 'node:crypto';
import type { Config } from './schema/config.ts';

/**
 * A part whose text is longer is named by its own digest, which thousands of routes that have the
 * same part have in common.
 */
const MAX_TEXT = 192;

/** Different sets of keys that are known; labels and fields may have any. */
const MAX_SHAPES = 256;

/**
 * SHA-256, hex, of the canonical form: the configuration with its defaults, and the digests of its
 * files by path.
 */
export function generationOf(config: Config, digests: Readonly<Record<string, string>>): string {
  return hash('sha256', new Canonical().text({ config, digests }), 'hex');
}

/**
 * Values in the order of their keys, behind the digest of the keys, and digests in the place of
 * long parts.
 */
class Canonical {
  /** Of parts that were met and may be met again. */
  private readonly known = new Map<object, string>();
  /** By the keys in the order in which they came. */
  private readonly shapes = new Map<string, Shape>();

  text(value: unknown): string {
    if (value === null || typeof value !== 'object') return JSON.stringify(value);
    const met = this.known.get(value);
    if (met !== undefined) return met;
    let text: string;
    if (Array.isArray(value)) text = `[${value.map((item) => this.text(item)).join()}]`;
    else {
      const { digest, ordered } = this.shape(value);
      const parts = value as Readonly<Record<string, unknown>>;
      text = `{${digest}:${ordered.map((key) => this.text(parts[key])).join()}}`;
    }
    // No text of a value begins with it.
    if (text.length > MAX_TEXT) text = `#${hash('sha256', text, 'base64')}`;
    // What is frozen may be part of many.
    if (Object.isFrozen(value)) this.known.set(value, text);
    return text;
  }

  /** What is undefined is not there. */
  private shape(value: object): Shape {
    const keys = Object.keys(value).filter((key) => (value as Readonly<Record<string, unknown>>)[key] !== undefined);
    const name = keys.join();
    const known = this.shapes.get(name);
    // Keys may hold a comma.
    if (known?.keys.length === keys.length && known.keys.every((key, place) => key === keys[place])) return known;
    const ordered = keys.toSorted();
    const shape = { keys, ordered, digest: hash('sha256', JSON.stringify(ordered), 'base64') };
    if (this.shapes.size < MAX_SHAPES) this.shapes.set(name, shape);
    return shape;
  }
}

interface Shape {
  readonly keys: readonly string[];
  readonly ordered: readonly string[];
  readonly digest: string;
}
