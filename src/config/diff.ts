/**
 * What is different between two configurations, by name: a route that moved is no change, one that
 * was added is one. Values are as the file would spell them; secrets are not shown, but that one is
 * another is.
 */

import { isDeepStrictEqual } from 'node:util';
import { formatPath, type KeyPath } from './problem.ts';
import { redact } from './redact.ts';
import { routeNames } from './route-names.ts';
import type { Config } from './schema/config.ts';

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
  compare(changes, [], byName(before, before), byName(after, after), byName(before, redact(before)), byName(after, redact(after)));
  return changes;
}

/** `form`, which is the configuration or what is shown of it, with mappings in the place of lists whose entries have names. */
function byName(config: Config, form: Record<string, unknown>): Record<string, unknown> {
  const upstreams = Object.entries(config.upstreams).map(([name, { backends }]) => {
    const upstream = Object(form['upstreams'])[name] as Record<string, unknown>;
    return [
      name,
      {
        ...upstream,
        backends: mapping(
          upstream['backends'],
          backends.map(({ url }) => url),
        ),
      },
    ] as const;
  });
  return {
    ...form,
    listeners: mapping(
      form['listeners'],
      config.listeners.map(({ name }) => name),
    ),
    upstreams: Object.fromEntries(upstreams),
    routes: mapping(form['routes'], routeNames(config.routes)),
  };
}

function mapping(items: unknown, names: readonly string[]): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const [place, item] of (Array.isArray(items) ? items : []).entries()) {
    let name = names[place] ?? String(place);
    for (let number = 2; name in found; number++) name = `${names[place]}#${number}`;
    found[name] = item;
  }
  return found;
}

function compare(changes: Change[], path: KeyPath, before: unknown, after: unknown, shownBefore: unknown, shownAfter: unknown): void {
  if (isDeepStrictEqual(before, after)) return;
  if (isMapping(before) && isMapping(after)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
      compare(changes, [...path, key], before[key], after[key], Object(shownBefore)[key], Object(shownAfter)[key]);
    }
    return;
  }
  changes.push({
    path: formatPath(path),
    ...(before === undefined ? {} : { before: shortened(shownBefore) }),
    ...(after === undefined ? {} : { after: shortened(shownAfter) }),
  });
}

function shortened(value: unknown): unknown {
  const text = JSON.stringify(value) ?? 'off';
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN - 1)}…` : (value ?? 'off');
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
