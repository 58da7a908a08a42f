/**
 * One backend, checked again and again: when the next check is due, and after how many of a kind in
 * a row its state changes. The first result counts at once, so that an edge that starts knows
 * within moments who is there.
 */

import type { HealthSnapshot } from '../../config/snapshot/standing.ts';
import type { HealthState } from '../../lane/standing/health.ts';

/** What is known of a backend's checks. Times are milliseconds since the epoch, 0 for never. */
export interface HealthStatus {
  readonly state: HealthState;
  readonly sinceMs: number;
  readonly checkedAtMs: number;
  /** How long the last check took, milliseconds. */
  readonly latencyMs: number;
  /** What was wrong with the last check, in one line; null when it was good. */
  readonly failure: string | null;
  /** Checks in a row that went like the last. */
  readonly inRow: number;
}

export interface CheckerParts {
  readonly health: HealthSnapshot;
  /**
   * Checks once: what was wrong, empty when nothing was; undefined when there is no address to ask.
   * Never rejects.
   */
  readonly check: (signal: AbortSignal) => Promise<string | undefined>;
  readonly onChange: (state: 'up' | 'down', before: HealthState, failure: string) => void;
  /**
   * While it is down: when the next checks, if they go well, will have it up again at the earliest.
   */
  readonly onExpected: (upAtMs: number) => void;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Wall clock, milliseconds since the epoch. */
  readonly nowMs: () => number;
  /** Calls back once after so many milliseconds; returns how to forget it. */
  readonly after: (ms: number, call: () => void) => () => void;
}

export interface Checker {
  /** The first check comes after so many milliseconds. */
  start(afterMs: number): void;
  /** Ends a check under way; resolves when nothing of it is left. */
  stop(): Promise<void>;
  status(): HealthStatus;
}

export function createChecker(parts: CheckerParts): Checker {
  const { health } = parts;
  let status: HealthStatus = { state: 'unknown', sinceMs: 0, checkedAtMs: 0, latencyMs: 0, failure: null, inRow: 0 };
  let checks = 0;
  let forget = (): void => {};
  let underWay: Promise<void> = Promise.resolve();
  const ending = new AbortController();

  return {
    start: (afterMs) => schedule(afterMs),
    async stop() {
      forget();
      ending.abort(new Error('the edge stops'));
      await underWay;
    },
    status: () => status,
  };

  function schedule(afterMs: number): void {
    if (ending.signal.aborted) return;
    if (status.state === 'down') parts.onExpected(parts.nowMs() + afterMs + (goodMissing() - 1) * health.failingIntervalMs);
    forget = parts.after(afterMs, () => {
      underWay = run();
    });
  }

  async function run(): Promise<void> {
    const beganMs = parts.nowMs();
    const failure = await parts.check(ending.signal);
    if (ending.signal.aborted) return;
    if (failure !== undefined) learn(failure, beganMs);
    checks += 1;
    schedule(nextMs());
  }

  function learn(failure: string, beganMs: number): void {
    const before = status.state;
    const nowMs = parts.nowMs();
    const isSameKind = status.inRow > 0 && (status.failure === null) === (failure === '');
    const inRow = isSameKind ? status.inRow + 1 : 1;
    const state = stateAfter(before, failure === '', inRow);
    const sinceMs = state === before ? status.sinceMs : nowMs;
    status = { state, sinceMs, checkedAtMs: nowMs, latencyMs: nowMs - beganMs, failure: failure === '' ? null : failure, inRow };
    if (state !== before && state !== 'unknown') parts.onChange(state, before, failure);
  }

  /** Good checks in a row that are missing until it is up. */
  function goodMissing(): number {
    return Math.max(1, health.healthyAfter - (status.failure === null ? status.inRow : 0));
  }

  function stateAfter(before: HealthState, isGood: boolean, inRow: number): HealthState {
    if (before === 'unknown') return isGood ? 'up' : 'down';
    if (before === 'up') return !isGood && inRow >= health.unhealthyAfter ? 'down' : 'up';
    return isGood && inRow >= health.healthyAfter ? 'up' : 'down';
  }

  /**
   * Sooner while something is wrong or about to change. The wait after the first check is any part
   * of the interval, so that backends spread over it.
   */
  function nextMs(): number {
    const isWell = status.state === 'up' && status.failure === null;
    if (!isWell) return jittered(health.failingIntervalMs);
    return checks === 1 ? health.intervalMs * parts.random() : jittered(health.intervalMs);
  }

  function jittered(ms: number): number {
    return ms * (1 + health.jitter * (2 * parts.random() - 1));
  }
}
