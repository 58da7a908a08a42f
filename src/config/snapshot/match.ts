/** What routes ask of a request, as a snapshot has it. */

/**
 * A condition on a field, a query parameter or a cookie. Where there are several of the name, one
 * must fit.
 */
export interface ConditionSnapshot {
  /** Lower case for fields. */
  readonly name: string;
  readonly kind: 'present' | 'absent' | 'exact' | 'prefix' | 'suffix' | 'contains' | 'regex';
  readonly value: string;
}

export interface MatchSnapshot {
  /** Lower case, no port; `*.a.test` for a wildcard of one or more labels; `*` for any. */
  readonly host: string;
  /** Canonical; for `regex` an RE2 pattern that must take the whole path. */
  readonly path: string;
  /** `prefix` matches on segment borders: `/a` takes `/a` and `/a/b`, not `/ab`. */
  readonly pathKind: 'prefix' | 'exact' | 'regex';
  /** Any of them; empty for all. */
  readonly methods: readonly string[];
  /** All of them. */
  readonly headers: readonly ConditionSnapshot[];
  readonly query: readonly ConditionSnapshot[];
  readonly cookies: readonly ConditionSnapshot[];
  /** What the client's certificate says, by fact. */
  readonly certificate: readonly ConditionSnapshot[];
  /** CIDR blocks, any of them; empty for all. Of the client behind trusted proxies. */
  readonly networks: readonly string[];
  /**
   * Place in `tenants`; -1 for requests of no tenant, and of a tenant none of whose own routes
   * takes them.
   */
  readonly tenant: number;
}
