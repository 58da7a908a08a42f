/**
 * The terms every proxy is given, so that the table compares how they choose and survive and not
 * what somebody wrote into a file. Each peer's file says the same things in its own words; where a
 * program has no word for one of them, its file says so.
 *
 * The times are shorter than an operator's would be: a scenario lasts seconds, and an ejection of
 * thirty of them would show nothing but itself.
 */

/** What all proxies are told. */
export const terms = {
  /** Until a connection to a backend must stand. */
  connectTimeoutMs: 1_000,
  /**
   * Until a backend must have begun to answer; twice what the slow backend takes, so that slow is
   * not the same as dead.
   */
  headTimeoutMs: 2_000,
  /** Until a client must have its answer, all attempts included. */
  exchangeTimeoutMs: 6_000,
  /** Attempts beside the first. */
  retries: 2,
  /** Statuses that are a failure of the backend: another one is asked, and its standing suffers. */
  badStatuses: [500, 502, 503, 504],
  health: { path: '/health', intervalMs: 500, timeoutMs: 500, unhealthyAfter: 2, healthyAfter: 2 },
  ejection: {
    /** Failures in a row after which a backend gets no requests. */
    consecutiveFailures: 5,
    /** How long it gets none, the first time. */
    baseMs: 2_000,
    /** How often a proxy that does this periodically looks. */
    intervalMs: 500,
    /** Most of the backends that may be out at once. */
    maxShare: 0.5,
  },
  /**
   * Requests a client may have open on one connection: the load must never wait for a free stream.
   */
  maxStreams: 256,
} as const;

/** Responses to it begin at once and do not end. */
export const STREAM_PATH = '/events';

/** What the load and the backends are made of. */
export const load = {
  requestsPerSecond: 300,
  connections: 4,
  /**
   * In flight at once on a connection at most; with all of them a black hole cannot hold up the
   * clock of the load.
   */
  streams: 200,
  /** Time a healthy backend takes, and what a slow one adds. */
  serviceMs: 3,
  slowMs: 1_000,
} as const;
