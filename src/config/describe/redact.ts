/** A configuration as it may be shown: values spelled as in the file, secrets replaced. */

import type { z } from 'zod';
import { type Config, configSchema } from '../schema/config.ts';
import { childOf, factsOf, isRequired, itemOf, listFactsOf } from '../schema/facts.ts';

/** What stands in the place of a secret. */
const REDACTED = '(redacted)';

/**
 * Plain data in the form of the file, with defaults, without tokens and the places of keys. Keys
 * that are absent stay absent.
 */
export function redact(config: Config): Record<string, unknown> {
  return show(configSchema, config) as Record<string, unknown>;
}

/**
 * Text of a key that may be left out; in a mapping of names an empty text is a value like any
 * other.
 */
function isOmittable(schema: z.core.$ZodType): boolean {
  return !isRequired(schema);
}

function show(schema: z.core.$ZodType, value: unknown): unknown {
  const facts = factsOf(schema);
  if (facts !== undefined) return facts.isSecret ? REDACTED : facts.write(value);
  if (Array.isArray(value)) return value.map((item, place) => show(childOf(schema, place) ?? schema, item));
  const shown: Record<string, unknown> = {};
  // A list may have names in the place of numbers here (`./diff.ts`).
  for (const [step, item] of Object.entries(value as Record<string, unknown>)) {
    const one = redactPart(childOf(schema, step) ?? itemOf(schema), item);
    if (one !== undefined) shown[step] = one;
  }
  return shown;
}

/** What is shown of one key's value; undefined where the key would be left out. */
export function redactPart(schema: z.core.$ZodType | undefined, item: unknown): unknown {
  if (schema === undefined || item === undefined) return undefined;
  // An absent text is empty inside; it has no spelling unless its default is `off`.
  if (item === '') return factsOf(schema)?.fallback === undefined && isOmittable(schema) ? undefined : 'off';
  const isAll = Array.isArray(item) && item.length === 0 && listFactsOf(schema)?.insteadOfNone !== undefined;
  return isAll ? undefined : show(schema, item);
}
