/**
 * What a snapshot looks up in heads, shared by all users: fields are indexed once, a cookie is
 * searched once, a key is hashed once, however many routes, limits and balancers need it. Equal
 * parts of routes are one object in memory: with a thousand routes, cache lines are what costs.
 * Each compiled snapshot has its own, so unused names go with it.
 */

import type { CertificateFact } from '../../config/schema/certificate-fact.ts';
import type { KeySnapshot } from '../../config/snapshot/key.ts';
import { certificateWalk } from './certificate.ts';
import { CookieWalk, FieldIndex, FieldWalk, QueryWalk, type Walk } from './fields.ts';
import { Key, type KeyMode, type KeySeed, NO_SEED } from './key.ts';
import type { Walks } from './walks.ts';

export class Lookups implements Walks {
  readonly bytes: Uint8Array;
  private readonly index: FieldIndex;
  private readonly made = new Map<string, unknown>();
  private readonly madeOf = new Map<string, WeakMap<object, { readonly value: unknown }>>();

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.index = new FieldIndex(bytes);
  }

  field(name: string): FieldWalk {
    return this.once('field', name, () => new FieldWalk(name, this.index));
  }

  cookie(name: string): CookieWalk {
    return this.once('cookie', name, () => new CookieWalk(name, this.index));
  }

  query(name: string): QueryWalk {
    return this.once('query', name, () => new QueryWalk(name, this.bytes));
  }

  certificate(fact: CertificateFact): Walk {
    return this.once('certificate', fact, () => certificateWalk(fact, this.bytes));
  }

  /** The key of these parts; `mode` as in `Key`. */
  key(keys: readonly KeySnapshot[], mode: KeyMode, seed: KeySeed = NO_SEED): Key {
    return this.once('key', [keys, mode, seed.low, seed.high], () => new Key(keys, mode, this, seed));
  }

  /**
   * Returns what `make` builds from `terms` (plain data that fully describes it), shared by all
   * equal terms. Each `kind` belongs to one `make`. Identical objects are recognised without being
   * read.
   */
  once<T>(kind: string, terms: unknown, make: () => T): T {
    if (terms === null || typeof terms !== 'object') return this.onceSaid(kind, terms, make);
    let ofKind = this.madeOf.get(kind);
    if (ofKind === undefined) {
      ofKind = new WeakMap();
      this.madeOf.set(kind, ofKind);
    }
    const known = ofKind.get(terms);
    if (known !== undefined) return known.value as T;
    const value = this.onceSaid(kind, terms, make);
    ofKind.set(terms, { value });
    return value;
  }

  private onceSaid<T>(kind: string, terms: unknown, make: () => T): T {
    const name = `${kind} ${JSON.stringify(terms)}`;
    if (!this.made.has(name)) this.made.set(name, make());
    return this.made.get(name) as T;
  }
}
