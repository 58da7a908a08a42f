/** Numbers of plans, over several snapshots. */

import { TAG_EPOCHS } from '../tag.ts';
import { EDGE_PLAN, type Edit, type NumberedPlan, type Plan } from './plan.ts';

/** Lists of edits that are cached by content. */
const MAX_LISTS = 1_024;
const NO_EDITS: readonly Edit[] = [];

/**
 * Snapshots whose plans a shard keeps: one more than a lane has, because the reactor gets new plans
 * while the lane's oldest snapshot still decides.
 */
export const SHARD_PAGES = TAG_EPOCHS + 1;

/**
 * Numbers plans over several snapshots, all of which may still decide: the reactor has the plans of
 * all of them. A plan keeps its number while any of them uses it.
 */
export class PlanBook {
  /** By number. An unused plan stays until its number is reused. */
  readonly plans: Plan[] = [];
  /** Numbers assigned since `takeFresh`. */
  private fresh: number[] = [];
  private readonly numbers = new Map<string, number>();
  private readonly keys: string[] = [];
  /** Numbers by snapshot, the latest last. */
  private readonly pages: Set<number>[] = [];
  private readonly maxPages: number;
  /** Ids of lists of edits, by content and by object. */
  private readonly ids = new Map<string, number>();
  private readonly idsOf = new WeakMap<readonly Edit[], number>();
  private nextId = 0;
  private free: number[] = [];

  constructor(maxPages = 1) {
    this.maxPages = maxPages;
  }

  /** Begins the next snapshot. If there are too many, drops the oldest one. */
  turn(): void {
    this.pages.push(new Set([EDGE_PLAN]));
    if (this.pages.length <= this.maxPages) return;
    this.pages.shift();
    const used = new Set(this.pages.flatMap((page) => [...page]));
    for (let number = 0; number < this.plans.length; number++) if (!used.has(number)) this.forget(number);
  }

  /** Plans that are new or changed since the last call. */
  takeFresh(): NumberedPlan[] {
    const { plans, fresh } = this;
    this.fresh = [];
    return fresh.map((number) => ({ number, plan: plans[number]! }));
  }

  /** All plans. */
  all(): NumberedPlan[] {
    return this.plans.map((plan, number) => ({ number, plan }));
  }

  /**
   * The number of `plan`, for the snapshot of the last `turn`. `common` are edits of its request
   * that many plans share.
   */
  number(plan: Plan, common: readonly Edit[] = NO_EDITS): number {
    const key = this.keyOf(plan, common);
    const number = this.numbers.get(key) ?? this.add(plan, key);
    this.pages.at(-1)!.add(number);
    return number;
  }

  /** The content of a plan as a key. */
  private keyOf({ request, ...rest }: Plan, common: readonly Edit[]): string {
    const at = common.length === 0 ? 0 : request.indexOf(common[0]!);
    const own = [request.slice(0, at), request.slice(at + common.length)];
    return `${this.idOf(common)} ${JSON.stringify([own, rest])}`;
  }

  /** Id of a list of edits that many plans share. */
  private idOf(common: readonly Edit[]): number {
    const known = this.idsOf.get(common);
    if (known !== undefined) return known;
    const text = JSON.stringify(common);
    let id = this.ids.get(text);
    if (id === undefined) {
      // An id is never reused for another list, so keys of plans stay right; forgotten lists get
      // new ids.
      if (this.ids.size >= MAX_LISTS) this.ids.clear();
      id = this.nextId++;
      this.ids.set(text, id);
    }
    this.idsOf.set(common, id);
    return id;
  }

  private add(plan: Plan, key: string): number {
    const number = this.free.pop() ?? this.plans.length;
    this.plans[number] = plan;
    this.fresh.push(number);
    this.keys[number] = key;
    this.numbers.set(key, number);
    return number;
  }

  private forget(number: number): void {
    const key = this.keys[number]!;
    if (this.numbers.get(key) !== number) return;
    this.numbers.delete(key);
    this.free.push(number);
  }
}
