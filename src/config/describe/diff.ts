/**
 * What is different between two configurations, by name: a route that moved is no change, one that
 * was added is one. Values are as the file would spell them; secrets are not shown, but that one is
 * another is.
 */

import { isDeepStrictEqual } from 'node:util';
import type { z } from 'zod';
import { formatPath, type KeyPath } from '../problem.ts';
import { routeNames } from '../route-names.ts';
import { type Config, configSchema } from '../schema/config.ts';
import { childOf, itemOf } from '../schema/facts.ts';
import { redactPart } from './redact.ts';

/** One difference. */
export interface Change {
  /** As people write it, with names instead of places: `routes.shop.timeouts.head`. */
  readonly path: string;
  /** Absent where there was nothing. */
  readonly before?: unknown;
  /** Absent where there is nothing any more. */
  readonly after?: unknown;
}

/** Characters of a value that are shown. */
const MAX_SHOWN = 200;

/** Every change from `before` to `after`, in the order of the schema. */
export function diffConfigs(before: Config, after: Config): Change[] {
  const changes: Change[] = [];
  compare(changes, [], byName(before), byName(after), configSchema);
  return changes;
}

/** The configuration with mappings in the place of lists whose entries have names. */
function byName(config: Config): Record<string, unknown> {
  const { listeners, upstreams, routes } = config;
  const named = Object.entries(upstreams).map(([name, upstream]) => {
    const urls = upstream.backends.map(({ url }) => url);
    return [name, { ...upstream, backends: mapping(upstream.backends, urls) }] as const;
  });
  return {
    ...config,
    listeners: mapping(
      listeners,
      listeners.map(({ name }) => name),
    ),
    upstreams: Object.fromEntries(named),
    routes: mapping(routes, routeNames(routes)),
  };
}

function mapping(items: readonly unknown[], names: readonly string[]): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const [place, item] of items.entries()) {
    let name = names[place] ?? String(place);
    for (let number = 2; name in found; number++) name = `${names[place]}#${number}`;
    found[name] = item;
  }
  return found;
}

/** `schema` is that of both; what is shown of a value is found only where it is told. */
function compare(changes: Change[], path: KeyPath, before: unknown, after: unknown, schema: z.core.$ZodType | undefined): void {
  if (before === after) return;
  if (isMapping(before) && isMapping(after)) {
    // Of the large ones most entries are the same, and each is looked at once.
    if (path.length > 1 && isDeepStrictEqual(before, after)) return;
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
      compare(changes, [...path, key], before[key], after[key], childBelow(schema, key));
    }
    return;
  }
  if (isDeepStrictEqual(before, after)) return;
  changes.push({
    path: formatPath(path),
    ...(before === undefined ? {} : { before: shortened(redactPart(schema, before)) }),
    ...(after === undefined ? {} : { after: shortened(redactPart(schema, after)) }),
  });
}

/** Of an entry, also where it is one of a list that is compared by name. */
function childBelow(schema: z.core.$ZodType | undefined, key: string): z.core.$ZodType | undefined {
  return schema === undefined ? undefined : (itemOf(schema) ?? childOf(schema, key));
}

function shortened(value: unknown): unknown {
  const text = JSON.stringify(value) ?? 'off';
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN - 1)}…` : (value ?? 'off');
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
