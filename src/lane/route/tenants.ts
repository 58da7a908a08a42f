/**
 * Finds the tenant of a request: the first that matches by host, header, path prefix or client
 * certificate. The cost depends on how many distinct headers identify tenants, not on the number of
 * tenants.
 */

import { inUse } from '../../config/numbering/in-use.ts';
import type { LaneSnapshot } from '../../config/route-table.ts';
import type { TenantSnapshot } from '../../config/snapshot/tenant.ts';
import type { HeadReader } from '../../record/read.ts';
import type { Walk } from '../head/fields.ts';
import type { Lookups } from '../head/lookups.ts';
import { ByteTable, HASH_START, hashByte } from './byte-table.ts';
import { HostTable } from './host-table.ts';
import { NO_PATH, PathTable } from './path-table.ts';

/** The request belongs to none. */
export const NO_TENANT = -1;

/** A header or a fact of a certificate whose values identify tenants. */
interface TellingValue {
  readonly walk: Walk;
  readonly tenants: ByteTable;
}

export class Tenants {
  private readonly bytes: Uint8Array;
  private readonly hosts: HostTable | undefined;
  private readonly paths: PathTable | undefined;
  private readonly values: readonly TellingValue[];
  /** Tables use indices in the order of look-up; this maps them to tenant numbers. */
  private readonly numbers: readonly number[];

  /** Undefined if there are no tenants. */
  static of(source: Pick<LaneSnapshot, 'tenants' | 'numbering'>, lookups: Lookups): Tenants | undefined {
    const numbers = inUse(source, 'tenants');
    if (numbers.length === 0) return undefined;
    return new Tenants(
      numbers.map((number) => source.tenants[number]!),
      numbers,
      lookups,
    );
  }

  private constructor(tenants: readonly TenantSnapshot[], numbers: readonly number[], lookups: Lookups) {
    this.bytes = lookups.bytes;
    this.numbers = numbers;
    const hosts = tenants.flatMap(({ hosts }, value) => hosts.map((host) => ({ scope: 0, host, value })));
    const paths = new Map<string, number>();
    for (const [value, { pathPrefix }] of tenants.entries()) {
      const path = pathPrefix.replace(/\/+$/, '');
      if (pathPrefix !== '' && !paths.has(path)) paths.set(path, value);
    }
    const entries = [...paths].map(([path, value]) => ({ site: 0, kind: 'prefix' as const, path, value }));
    this.hosts = hosts.length === 0 ? undefined : new HostTable(hosts, 1);
    this.paths = entries.length === 0 ? undefined : new PathTable(entries, 1, 0);
    this.values = [...compileHeaders(tenants, lookups), ...compileCertificates(tenants, lookups)];
  }

  /** Number of the tenant of `head`, or NO_TENANT. If several match, the first in order. */
  find(head: HeadReader): number {
    const { hosts, paths, values, bytes } = this;
    let first = NO_TENANT;
    if (hosts !== undefined) {
      const count = hosts.find(0, bytes, head.authorityByte, head.authorityLength);
      for (let i = 0; i < count; i++) first = earlier(first, hosts.found[i]!);
    }
    if (paths !== undefined) {
      paths.walk(0, bytes, head.pathByte, head.pathLength);
      for (let i = 0; i < paths.prefixCount; i++) first = earlier(first, paths.prefixes[i]!);
    }
    for (let i = 0; i < values.length; i++) {
      const { walk, tenants } = values[i]!;
      walk.begin(head);
      while (walk.next(head)) {
        let hash = HASH_START;
        for (let at = walk.start; at < walk.start + walk.length; at++) hash = hashByte(hash, walk.bytes[at]!);
        const tenant = tenants.find(hash, 0, walk.bytes, walk.start, walk.length);
        if (tenant !== NO_PATH) first = earlier(first, tenant);
      }
    }
    return first === NO_TENANT ? NO_TENANT : this.numbers[first]!;
  }
}

function earlier(one: number, other: number): number {
  return one === NO_TENANT || other < one ? other : one;
}

function compileHeaders(tenants: readonly TenantSnapshot[], lookups: Lookups): TellingValue[] {
  const names = new Set(tenants.map(({ header }) => header).filter((name) => name !== ''));
  const saidOf = (name: string) => (tenant: TenantSnapshot) => (tenant.header === name ? tenant.headerValue : undefined);
  return [...names].map((name) => ({ walk: lookups.field(name), tenants: tableOf(tenants, saidOf(name)) }));
}

function compileCertificates(tenants: readonly TenantSnapshot[], lookups: Lookups): TellingValue[] {
  const facts = new Set(tenants.map(({ certificate }) => certificate).filter((fact) => fact !== ''));
  const saidOf = (fact: string) => (tenant: TenantSnapshot) => (tenant.certificate === fact ? tenant.certificateValue : undefined);
  return [...facts].map((fact) => ({ walk: lookups.certificate(fact), tenants: tableOf(tenants, saidOf(fact)) }));
}

/** Tenants by their value; those without one are left out. */
function tableOf(tenants: readonly TenantSnapshot[], saidOf: (tenant: TenantSnapshot) => string | undefined): ByteTable {
  const table = new ByteTable(tenants.length);
  for (const [number, tenant] of tenants.entries()) {
    const text = saidOf(tenant);
    if (text === undefined) continue;
    const value = Buffer.from(text, 'latin1');
    table.set(value.reduce(hashByte, HASH_START), 0, value, number);
  }
  return table;
}
