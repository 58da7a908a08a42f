/**
 * Checks across keys: what the schema cannot see because it looks at one key at a time. Names must
 * be unique, references must exist, options must fit what they are given for. Nothing here touches
 * the disk.
 */

import type { Complaint } from '../problem.ts';
import type { Config } from '../schema/config.ts';
import { checkAdmin } from './admin.ts';
import { checkRates } from './limit.ts';
import { checkListeners } from './listener.ts';
import { checkRoutes } from './route.ts';
import type { IsMended } from './seen.ts';
import { checkStore, checkTenants } from './tenant.ts';
import { checkUpstream } from './upstream.ts';

export type { IsMended };

/** Everything on which keys do not agree; what was mended agrees with everything. */
export function checkAgreement(config: Config, isMended: IsMended = () => false): Complaint[] {
  const complaints = [
    ...checkListeners(config, isMended),
    ...Object.entries(config.upstreams).flatMap(([name, upstream]) => checkUpstream(name, upstream, isMended)),
    ...checkRoutes(config, isMended),
    ...checkRates(config, isMended),
    ...checkTenants(config, isMended),
    ...checkStore(config),
    ...checkUse(config),
    ...checkAdmin(config.admin),
  ];
  return complaints.filter(({ path }) => !isMended(path));
}

/** An upstream that no route names is probably a route that was forgotten. */
function checkUse({ routes, upstreams }: Config): Complaint[] {
  const used = new Set(
    routes.flatMap((route) => [route.upstream, ...route.split.map(({ upstream }) => upstream), route.fallback?.upstream]),
  );
  return Object.keys(upstreams)
    .filter((name) => !used.has(name))
    .map((name) => ({ severity: 'warning', path: ['upstreams', name], isAboutKey: true, message: 'is not used by any route' }));
}
