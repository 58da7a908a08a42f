/** A configuration as it may be shown: values spelled as in the file, secrets replaced. */

import type { z } from 'zod';
import { type Config, configSchema } from './schema/config.ts';
import { childOf, factsOf, isRequired, listFactsOf } from './schema/facts.ts';

/** What stands in the place of a secret. */
export const REDACTED = '(redacted)';

/** Plain data in the form of the file, with defaults, without tokens and the places of keys. Keys that are absent stay absent. */
export function redact(config: Config): Record<string, unknown> {
  return show(configSchema, config) as Record<string, unknown>;
}

/** Text of a key that may be left out; in a mapping of names an empty text is a value like any other. */
function isOmittable(schema: z.core.$ZodType): boolean {
  return !isRequired(schema);
}

function show(schema: z.core.$ZodType, value: unknown): unknown {
  const facts = factsOf(schema);
  if (facts !== undefined) return facts.isSecret ? REDACTED : facts.write(value);
  if (Array.isArray(value)) return value.map((item, place) => show(childOf(schema, place) ?? schema, item));
  const shown: Record<string, unknown> = {};
  for (const [step, item] of Object.entries(value as Record<string, unknown>)) {
    const child = childOf(schema, step);
    // An absent text is empty inside; it has no spelling unless its default is `off`.
    const isAbsent =
      item === undefined || (item === '' && child !== undefined && factsOf(child)?.fallback === undefined && isOmittable(child));
    const isAll = Array.isArray(item) && item.length === 0 && child !== undefined && listFactsOf(child)?.insteadOfNone !== undefined;
    if (child !== undefined && !isAbsent && !isAll) shown[step] = item === '' ? 'off' : show(child, item);
  }
  return shown;
}
