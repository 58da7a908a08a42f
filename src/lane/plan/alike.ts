/** Which routes have the same plans. */

import type { LaneSnapshot } from '../../config/route-table.ts';
import type { EditSnapshot, RouteSnapshot, TargetSnapshot } from '../../config/snapshot/route.ts';
import { tellsBackend } from './aim.ts';

/**
 * Gives routes with the same plans the same short key, so that the plans of ten thousand routes
 * need not be built to find out. The key is made of the parts that routes share as the same objects
 * (`src/config/assemble/once.ts`). If equal parts are not shared, more plans are built; nothing
 * else changes.
 */
export class Alike {
  private readonly snapshot: LaneSnapshot;
  private readonly ids = new Map<object, number>();
  private readonly told = new Map<object, { readonly route: boolean; readonly upstream: boolean }>();

  constructor(snapshot: LaneSnapshot) {
    this.snapshot = snapshot;
  }

  /** Covers everything that `routePlan` and `aimsOf` read. */
  key(route: RouteSnapshot): string {
    const { retries, fallbackOn, fallback, requestEdits, responseEdits, path } = route;
    const [request, response] = [this.tells(requestEdits), this.tells(responseEdits)];
    const isBackendTold = tellsBackend(route) || route.via !== '';
    const isUpstreamTold = request.upstream || response.upstream || isBackendTold;
    let key = `${this.id(retries.on)} ${this.id(fallbackOn)} ${this.id(requestEdits)} ${this.id(responseEdits)} ${route.forwarded} ${route.forwardedTrusted}`;
    key += ` ${JSON.stringify([route.via, route.deadlineHeader, route.host])} ${route.hostPolicy} ${route.isGrpcTimeoutObeyed} ${route.isPathCanonical}`;
    if (path.kind !== 'keep') key += JSON.stringify(path);
    if (request.route || response.route) key += ` ${JSON.stringify(route.name)}`;
    for (const target of route.targets) key += this.aim(target, isUpstreamTold);
    return fallback.kind === 'upstream' ? `${key} or${this.aim(fallback.target, isUpstreamTold)}` : key;
  }

  private aim({ upstream, subset }: TargetSnapshot, isUpstreamTold: boolean): string {
    const isSticky = this.snapshot.upstreams[upstream]?.balance.sticky?.kind === 'cookie';
    return isUpstreamTold ? ` to ${upstream} ${this.id(subset)}` : ` to ${isSticky}`;
  }

  private id(part: object): number {
    let id = this.ids.get(part);
    if (id === undefined) {
      id = this.ids.size;
      this.ids.set(part, id);
    }
    return id;
  }

  private tells(edits: readonly EditSnapshot[]): { readonly route: boolean; readonly upstream: boolean } {
    const known = this.told.get(edits);
    if (known !== undefined) return known;
    const has = (variable: string): boolean => edits.some(({ value }) => value.includes(variable));
    const told = { route: has('${route}'), upstream: has('${upstream}') };
    this.told.set(edits, told);
    return told;
  }
}
