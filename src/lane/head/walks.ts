/** The source of the walks over a head's values (implemented in `./lookups.ts`). */

import type { CertificateFact } from '../../config/schema/certificate-fact.ts';
import type { CookieWalk, FieldWalk, QueryWalk, Walk } from './fields.ts';

export interface Walks {
  /** The shard's memory, which holds the heads. */
  readonly bytes: Uint8Array;
  /**
   * The lines of a field; `name` is lower case, as fields are in HTTP/3 (RFC 9114 §4.2). Equal
   * names share one walk.
   */
  field(name: string): FieldWalk;
  /** The values of a cookie. */
  cookie(name: string): CookieWalk;
  /** The values of a query parameter. */
  query(name: string): QueryWalk;
  /** Facts of the client's certificate. */
  certificate(fact: CertificateFact): Walk;
}
