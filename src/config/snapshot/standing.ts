/** What ejects a backend and what takes it back, as a snapshot has it. */

/** What counts as a failure of a backend. */
export interface FailureSnapshot {
  readonly isConnectCounted: boolean;
  readonly isResetCounted: boolean;
  readonly isTimeoutCounted: boolean;
  readonly statuses: readonly number[];
  readonly grpcStatuses: readonly number[];
}

export interface BreakerSnapshot {
  readonly failures: FailureSnapshot;
  /** Failures in a row; 0 for off. */
  readonly consecutive: number;
  /** Share of failures over the window, 0 to 1; 0 for off. */
  readonly rate: number;
  /** Requests there must be in the window before the rate is looked at. */
  readonly minRequests: number;
  /** Failures in the window, whatever the rate; 0 for off. */
  readonly count: number;
  readonly windowMs: number;
  /**
   * How long a backend is ejected the first time; each time in a row it is twice as long, up to the
   * maximum.
   */
  readonly ejectMs: number;
  readonly maxEjectMs: number;
  /** Probes at once while half-open, and how many must succeed. */
  readonly probes: number;
  readonly successes: number;
}

/** Ejection of backends that do worse than the others of their upstream. */
export interface OutlierSnapshot {
  readonly isOn: boolean;
  readonly intervalMs: number;
  /** Backends and requests each there must be before they are compared. */
  readonly minBackends: number;
  readonly minRequests: number;
  /** Ejected below mean − factor × standard deviation of the success rates. */
  readonly deviations: number;
}

export interface HealthSnapshot {
  readonly protocol: 'h2' | 'http/1.1' | 'h3';
  readonly method: 'GET' | 'HEAD';
  readonly path: string;
  /** Authority to ask for; empty for the backend's own. */
  readonly host: string;
  /** Port to ask instead of the backend's; 0 for the same. */
  readonly port: number;
  readonly intervalMs: number;
  /** While it fails or its state is about to change. */
  readonly failingIntervalMs: number;
  /** Share of the interval by which each one is moved at random. */
  readonly jitter: number;
  readonly timeoutMs: number;
  readonly healthyAfter: number;
  readonly unhealthyAfter: number;
  readonly statuses: readonly number[];
  /** Text the first 64 KiB of the body must have; empty for any. */
  readonly body: string;
}
