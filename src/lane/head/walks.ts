/** Where the walks through a head's values come from (`./lookups.ts` has them). */

import type { CertificateFact } from '../../config/schema/certificate-fact.ts';
import type { CookieWalk, FieldWalk, QueryWalk, Walk } from './fields.ts';

export interface Walks {
  /** The shard's memory, in which heads lie. */
  readonly bytes: Uint8Array;
  /**
   * The lines of a field; `name` in lower case, as fields come over HTTP/3 (RFC 9114 §4.2). Who
   * asks for a name gets the walk that all others have.
   */
  field(name: string): FieldWalk;
  /** The values of a cookie. */
  cookie(name: string): CookieWalk;
  /** The values of a query parameter. */
  query(name: string): QueryWalk;
  /** What the client's certificate says. */
  certificate(fact: CertificateFact): Walk;
}
