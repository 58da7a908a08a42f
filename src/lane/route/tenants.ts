/**
 * Which tenant a request belongs to: the first that its host, a header or the front of its path tells. The cost depends on how many different headers tell
 * tenants apart, and not on how many tenants there are.
 */

import { inUse } from '../../config/numbering.ts';
import type { Snapshot, TenantSnapshot } from '../../config/snapshot.ts';
import type { HeadReader } from '../../record/read.ts';
import type { FieldWalk } from '../head/fields.ts';
import type { Lookups } from '../head/lookups.ts';
import { ByteTable, HASH_START, hashByte } from './byte-table.ts';
import { HostTable } from './host-table.ts';
import { NO_PATH, PathTable } from './path-table.ts';

/** The request belongs to none. */
export const NO_TENANT = -1;

/** A header whose values name tenants. */
interface TellingHeader {
  readonly walk: FieldWalk;
  readonly tenants: ByteTable;
}

export class Tenants {
  private readonly bytes: Uint8Array;
  private readonly hosts: HostTable | undefined;
  private readonly paths: PathTable | undefined;
  private readonly headers: readonly TellingHeader[];
  /**
   * Tables name tenants by their place in the order in which they are asked; here are their
   * numbers.
   */
  private readonly numbers: readonly number[];

  /** Undefined where there are none. */
  static of(source: Pick<Snapshot, 'tenants' | 'numbering'>, lookups: Lookups): Tenants | undefined {
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
    this.headers = compileHeaders(tenants, lookups);
  }

  /** Number of the tenant of `head`, or NO_TENANT. Of several that fit the first in order. */
  find(head: HeadReader): number {
    const { hosts, paths, headers, bytes } = this;
    let first = NO_TENANT;
    if (hosts !== undefined) {
      const count = hosts.find(0, bytes, head.authorityByte, head.authorityLength);
      for (let i = 0; i < count; i++) first = earlier(first, hosts.found[i]!);
    }
    if (paths !== undefined) {
      paths.walk(0, bytes, head.pathByte, head.pathLength);
      for (let i = 0; i < paths.prefixCount; i++) first = earlier(first, paths.prefixes[i]!);
    }
    for (let i = 0; i < headers.length; i++) {
      const { walk, tenants } = headers[i]!;
      walk.begin(head);
      while (walk.next(head)) {
        let hash = HASH_START;
        for (let at = walk.start; at < walk.start + walk.length; at++) hash = hashByte(hash, bytes[at]!);
        const tenant = tenants.find(hash, 0, bytes, walk.start, walk.length);
        if (tenant !== NO_PATH) first = earlier(first, tenant);
      }
    }
    return first === NO_TENANT ? NO_TENANT : this.numbers[first]!;
  }
}

function earlier(one: number, other: number): number {
  return one === NO_TENANT || other < one ? other : one;
}

function compileHeaders(tenants: readonly TenantSnapshot[], lookups: Lookups): TellingHeader[] {
  const names = [...new Set(tenants.map(({ header }) => header).filter((name) => name !== ''))];
  return names.map((name) => {
    const table = new ByteTable(tenants.length);
    for (const [number, { header, headerValue }] of tenants.entries()) {
      const value = Buffer.from(headerValue, 'latin1');
      if (header === name) table.set(value.reduce(hashByte, HASH_START), 0, value, number);
    }
    return { walk: lookups.field(name), tenants: table };
  });
}
