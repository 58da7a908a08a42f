/** Keys that tell requests apart, as a snapshot has them. */

/** What of a request tells it from others: for hashing, sticking and limiting. */
export interface KeySnapshot {
  readonly kind:
    | 'header'
    | 'cookie'
    | 'query'
    | 'certificate'
    | 'path'
    | 'authority'
    | 'method'
    | 'client'
    | 'connection'
    | 'tenant'
    | 'route';
  /**
   * Of header (lower case), cookie, query parameter, fact of a certificate; empty for the others.
   */
  readonly name: string;
  /**
   * Bits of the client's address that count, by family; 32 and 128 for the whole. Only for
   * `client`.
   */
  readonly prefix4: number;
  readonly prefix6: number;
}
