/** What the targets of routes aim at: an upstream, and of it the backends with some labels. */

import stringify from 'fast-json-stable-stringify';
import type { RouteSnapshot } from '../snapshot/route.ts';

/** The same text for targets that mean the same. */
export function aimKey({ upstream, subset }: Aim): string {
  return stringify({ upstream, subset });
}

export function aimOf(key: string): Aim {
  return JSON.parse(key) as Aim;
}

export type Aim = { readonly upstream: number; readonly subset: Readonly<Record<string, string>> };

export function aimsOf({ targets, fallback }: RouteSnapshot): readonly Aim[] {
  return fallback.kind === 'upstream' ? [...targets, fallback.target] : targets;
}
