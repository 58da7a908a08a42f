/** The whole configuration: its sections in the order in which they are read and documented. */

import { z } from 'zod';
import { admin } from './admin.ts';
import { claims } from './claims.ts';
import { withFacts, withNamesFacts } from './facts.ts';
import { list, mapping, words } from './groups.ts';
import { certificates, listener } from './listener.ts';
import { log } from './log.ts';
import { drain, limits, ownProcess, reload, shards } from './process.ts';
import { route } from './route.ts';
import { INCLUDE_RULE, NAME_RULE } from './rules.ts';
import { store } from './store.ts';
import { tenants } from './tenant.ts';
import { upstream } from './upstream.ts';
import { text } from './values.ts';

const version = withFacts(z.literal(1).describe('Version of the format.'), {
  kind: 'integer',
  expected: 'version: 1',
  range: '1',
  example: 1,
  isRequired: true,
  isSecret: false,
  write: Number,
});

const include = words(
  'Files with more `routes`, `upstreams` and `tenants`, which are put behind those that stand here ([routing.md](routing.md#files-of-routes)).',
  text(INCLUDE_RULE, { prose: 'A file, or a pattern with `*` or `?` in the name.', example: 'routes.d/*.yaml' }),
  { example: ['routes.d/*.yaml'] },
);

/** Names of upstreams obey the rule of all names. */
const upstreamName = z.string().refine((name) => NAME_RULE.normalise(name) !== undefined, 'is not acceptable as a name');

export const configSchema = mapping('The configuration of one edge.', {
  version,
  include,
  listeners: list('Where clients come in.', listener),
  certificates,
  upstreams: withNamesFacts(
    z.record(upstreamName, upstream).describe('Groups of backends, by name. May be left out where every route answers by itself.'),
    { expected: NAME_RULE.expected, example: 'web', isUsual: true },
  ).prefault({}),
  routes: list('Which requests go where. Their order does not matter. May be left out where files that are included have some.', route),
  tenants,
  claims,
  store,
  process: ownProcess,
  shards,
  limits,
  admin,
  log,
  drain,
  reload,
});

/**
 * A configuration that was read: keys as in the file, durations in milliseconds, sizes in bytes,
 * every default filled in.
 */
export type Config = z.output<typeof configSchema>;
