/**
 * What thousands of routes say alike is parsed once and is one object: parts that were left out,
 * and parts that were written before in the same words. Whoever makes something of such a part can
 * keep it by the object (`../assemble/shared.ts`).
 */

import type { z } from 'zod';

/** Longer parts are parsed each time, and so many different ones are known of each key. */
const MAX_WORDS = 512;
const MAX_KNOWN = 1_024;

/** Has parts that were left out parsed once. The result is frozen. */
export function absentOnce<S extends z.core.$ZodType>(schema: S): S {
  const { run } = schema._zod;
  let absent: { readonly value: unknown } | undefined;
  schema._zod.run = (payload, context) => {
    if (payload.value !== undefined) return run(payload, context);
    if (absent === undefined) {
      const parsed = run(payload, context);
      if (parsed instanceof Promise || parsed.issues.length > 0) return parsed;
      absent = { value: freezeDeep(parsed.value) };
      return parsed;
    }
    payload.value = absent.value;
    return payload;
  };
  return schema;
}

/**
 * Has parts parsed once that are written in the same words, or left out. The words are those of
 * JSON, which has the same for `null` and numbers that are none; no part takes either.
 */
export function writtenOnce<S extends z.core.$ZodType>(schema: S): S {
  const { run } = absentOnce(schema)._zod;
  const known = new Map<string, unknown>();
  schema._zod.run = (payload, context) => {
    const { value } = payload;
    if (value === null || typeof value !== 'object') return run(payload, context);
    const words = JSON.stringify(value);
    if (words.length > MAX_WORDS) return run(payload, context);
    const parsed = known.get(words);
    if (parsed !== undefined) {
      payload.value = parsed;
      return payload;
    }
    const result = run(payload, context);
    if (result instanceof Promise || result.issues.length > 0 || result.value === undefined) return result;
    if (known.size >= MAX_KNOWN) known.clear();
    known.set(words, freezeDeep(result.value));
    return result;
  };
  return schema;
}

/** `make`, asked once for each of the texts that are known. */
export function remembered<T>(make: (text: string) => T): (text: string) => T {
  const known = new Map<string, { readonly value: T }>();
  return (text) => {
    const before = known.get(text);
    if (before !== undefined) return before.value;
    const value = make(text);
    if (known.size >= MAX_KNOWN) known.clear();
    known.set(text, { value });
    return value;
  };
}

/** Freezes a value with all that is in it, but not what is frozen already: it was frozen so. */
export function freezeDeep<T>(value: T): T {
  // Views of memory cannot be frozen.
  if (value !== null && typeof value === 'object' && !Object.isFrozen(value) && !ArrayBuffer.isView(value)) {
    Object.freeze(value);
    for (const item of Object.values(value)) freezeDeep(item);
  }
  return value;
}
