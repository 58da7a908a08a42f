/** Which numbers of a snapshot are in use, and what has them (`./numberer.ts` gives them). */

import type { ListenerSnapshot } from '../snapshot/listener.ts';
import type { RouteSnapshot } from '../snapshot/route.ts';
import type { NumberingSnapshot, RoomSnapshot, Snapshot } from '../snapshot/snapshot.ts';
import type { TenantSnapshot } from '../snapshot/tenant.ts';
import type { BackendSnapshot, UpstreamSnapshot } from '../snapshot/upstream.ts';

/** What is numbered. */
export type NumberedKind = keyof RoomSnapshot;

/** For how many of each the tables of `snapshot` have room. */
export function roomOf(snapshot: Lists): RoomSnapshot {
  return snapshot.numbering?.room ?? roomFor((kind) => snapshot[kind].length);
}

/** Room for so many of each kind. */
export function roomFor(count: (kind: NumberedKind) => number): RoomSnapshot {
  return {
    upstreams: count('upstreams'),
    backends: count('backends'),
    routes: count('routes'),
    tenants: count('tenants'),
    listeners: count('listeners'),
  };
}

type Lists = { readonly [K in NumberedKind]: { readonly length: number } } & { readonly numbering?: NumberingSnapshot };

/** Numbers of a kind that are in use, in configured order. */
export function inUse<K extends NumberedKind>(
  snapshot: { readonly [L in K]: { readonly length: number } } & { readonly numbering?: NumberingSnapshot },
  kind: K,
): readonly number[] {
  return snapshot.numbering?.[kind] ?? Array.from({ length: snapshot[kind].length }, (_, number) => number);
}

/** Upstreams that are in use, in configured order, with their numbers. */
export function upstreamsOf(snapshot: Pick<Snapshot, 'upstreams' | 'numbering'>): [number, UpstreamSnapshot][] {
  return inUse(snapshot, 'upstreams').map((number) => [number, snapshot.upstreams[number]!]);
}

/** Backends that are in use, in configured order. */
export function backendsOf(snapshot: Pick<Snapshot, 'backends' | 'numbering'>): BackendSnapshot[] {
  return inUse(snapshot, 'backends').map((slot) => snapshot.backends[slot]!);
}

/** Routes that are in use, in configured order, with their numbers. */
export function routesOf(snapshot: Pick<Snapshot, 'routes' | 'numbering'>): [number, RouteSnapshot][] {
  return inUse(snapshot, 'routes').map((number) => [number, snapshot.routes[number]!]);
}

/** Tenants that are in use, in configured order, with their numbers. */
export function tenantsOf(snapshot: Pick<Snapshot, 'tenants' | 'numbering'>): [number, TenantSnapshot][] {
  return inUse(snapshot, 'tenants').map((number) => [number, snapshot.tenants[number]!]);
}

/** Listeners that are in use, in configured order, with their numbers. */
export function listenersOf(snapshot: Pick<Snapshot, 'listeners' | 'numbering'>): [number, ListenerSnapshot][] {
  return inUse(snapshot, 'listeners').map((number) => [number, snapshot.listeners[number]!]);
}

/**
 * The fields in which the proxies of some listener tell the client, by number. The same field has
 * the same number in snapshots that follow on each other, because numbers travel with exchanges;
 * one that nobody knows any more is empty.
 */
export function clientFieldsOf(snapshot: Pick<Snapshot, 'numbering'> & TrustingLists): readonly string[] {
  return snapshot.numbering?.clientFields ?? fieldsOf(snapshot.listeners);
}

type TrustingLists = { readonly listeners: readonly Pick<ListenerSnapshot, 'trustedNetworks'>[] };

export function fieldsOf(listeners: TrustingLists['listeners']): string[] {
  return [...new Set(listeners.flatMap(({ trustedNetworks }) => trustedNetworks.map(({ field }) => field)))];
}
