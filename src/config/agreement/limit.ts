/**
 * Agreement of limits: queues need something to wait for, shared limits a store, names are unique;
 * and their buckets should fit into memory.
 */

import { rateName } from '../assemble/limit.ts';
import { tenantOwner } from '../assemble/tenant.ts';
import type { Complaint, KeyPath } from '../problem.ts';
import { routeNames } from '../route-names.ts';
import type { Config } from '../schema/config.ts';
import { type IsMended, meaningless, Seen } from './seen.ts';

/**
 * Of one key's bucket (`src/lane/admit/rate-limit/table.ts`), and of all together that nobody means
 * by a default kept in thousands of routes.
 */
const BUCKET_BYTES = 16;
const MUCH_BYTES = 2 ** 30;

/**
 * A queue in front of what has no limit never fills. `isLimitedOtherwise` where another limit makes
 * exchanges wait.
 */
export function checkQueue(path: KeyPath, limits: { in_flight: number; queue: number }, isLimitedOtherwise = false): Complaint[] {
  const isIdle = limits.queue > 0 && limits.in_flight === 0 && !isLimitedOtherwise;
  return isIdle ? [meaningless([...path, 'queue'], 'without a limit', 'in_flight beside it')] : [];
}

/** Rate limits of routes and tenants. */
export function checkRates({ routes, tenants, store }: Config, isMended: IsMended): Complaint[] {
  const complaints: Complaint[] = [];
  const names = new Seen('rate limit', isMended);
  let bytes = 0;
  const check = (owner: string, path: KeyPath, rates: Config['routes'][number]['limits']['rate']): void => {
    for (const [place, rate] of rates.entries()) {
      const where = [...path, 'limits', 'rate', place];
      bytes += rate.by.length === 0 ? 0 : rate.max_keys * BUCKET_BYTES;
      complaints.push(...names.note(rateName(owner, rate, place), [...where, 'name'], where));
      if (rate.shared && store === undefined) {
        complaints.push({ path: [...where, 'shared'], value: 'true', message: 'has nowhere to count', expected: 'a store beside routes' });
      }
      if (!rate.shared && rate.on_store_failure !== 'local') {
        complaints.push(meaningless([...where, 'on_store_failure'], 'where nothing is shared', 'shared: true'));
      }
    }
  };
  const owners = routeNames(routes);
  for (const [place, route] of routes.entries()) check(owners[place] ?? '', ['routes', place], route.limits.rate);
  for (const [name, tenant] of Object.entries(tenants)) check(tenantOwner(name), ['tenants', name], tenant.limits.rate);
  if (bytes > MUCH_BYTES) {
    const message = `have rate limits whose buckets may come to take ${(bytes / MUCH_BYTES).toFixed(1)} GiB; a smaller max_keys takes less`;
    complaints.push({ severity: 'warning', path: ['routes'], isAboutKey: true, message });
  }
  return complaints;
}
