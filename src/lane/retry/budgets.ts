/**
 * The retry and hedge budgets of all upstreams, and the events when a retry budget is exhausted and
 * when it recovers.
 */

import { noteNumber } from '../../base/notes.ts';
import type { UpstreamSnapshot } from '../../config/snapshot/upstream.ts';
import type { Observer } from '../observer.ts';
import { Budget } from './budget.ts';

const BUDGET_SPENT = noteNumber('budget_spent');
const BUDGET_RESTORED = noteNumber('budget_restored');

/**
 * How often exhausted budgets are checked, and how long one must have denied no retry to count as
 * recovered.
 */
const SWEEP_MS = 1_000;
const QUIET_MS = 5_000;

export class Budgets {
  /** Indexed by upstream. */
  readonly retries: readonly Budget[];
  readonly hedges: readonly Budget[];
  private readonly observer: Pick<Observer, 'noted'>;
  private nextSweepMs = 0;

  /** `table` was made by `createBudgetTable` for the same upstreams. */
  constructor(
    upstreams: readonly Pick<UpstreamSnapshot, 'retryBudget' | 'hedgeBudget'>[],
    table: SharedArrayBuffer,
    observer: Pick<Observer, 'noted'>,
  ) {
    this.retries = upstreams.map(({ retryBudget }, number) => new Budget(table, number * 2, retryBudget));
    this.hedges = upstreams.map(({ hedgeBudget }, number) => new Budget(table, number * 2 + 1, hedgeBudget));
    this.observer = observer;
  }

  /** Begins a turn. */
  begin(nowMs: number): void {
    if (nowMs < this.nextSweepMs) return;
    this.nextSweepMs = nowMs + SWEEP_MS;
    for (let i = 0; i < this.retries.length; i++) {
      if (this.retries[i]!.deniedNoMore(nowMs, QUIET_MS)) this.observer.noted(BUDGET_RESTORED, i, -1, 0);
    }
  }

  /** Takes a retry if the upstream's budget allows it; reports the first one that is denied. */
  takeRetry(upstream: number, nowMs: number): boolean {
    const budget = this.retries[upstream]!;
    if (budget.take(nowMs)) return true;
    if (budget.denied(nowMs)) this.observer.noted(BUDGET_SPENT, upstream, -1, 0);
    return false;
  }
}
