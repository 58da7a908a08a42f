/**
 * The retry and hedge budgets of all upstreams, and the events of those for retries: spent, and not
 * spent any more.
 */

import { noteNumber } from '../../base/notes.ts';
import type { UpstreamSnapshot } from '../../config/snapshot/upstream.ts';
import type { Observer } from '../observer.ts';
import { Budget } from './budget.ts';

const BUDGET_SPENT = noteNumber('budget_spent');
const BUDGET_RESTORED = noteNumber('budget_restored');

/**
 * How often it is looked whether a spent budget allows retries again, and how long it must have
 * denied none.
 */
const SWEEP_MS = 1_000;
const QUIET_MS = 5_000;

export class Budgets {
  /** By place of the upstream. */
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

  /** A new turn. */
  begin(nowMs: number): void {
    if (nowMs < this.nextSweepMs) return;
    this.nextSweepMs = nowMs + SWEEP_MS;
    for (let i = 0; i < this.retries.length; i++) {
      if (this.retries[i]!.deniedNoMore(nowMs, QUIET_MS)) this.observer.noted(BUDGET_RESTORED, i, -1, 0);
    }
  }

  /**
   * Takes a retry if the upstream's budget has it, and tells when it is the first that it has not.
   */
  takeRetry(upstream: number, nowMs: number): boolean {
    const budget = this.retries[upstream]!;
    if (budget.take(nowMs)) return true;
    if (budget.denied(nowMs)) this.observer.noted(BUDGET_SPENT, upstream, -1, 0);
    return false;
  }
}
