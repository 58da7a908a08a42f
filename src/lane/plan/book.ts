/** Numbers of plans, over several snapshots. */

import { TAG_EPOCHS } from '../tag.ts';
import { EDGE_PLAN, type Edit, type NumberedPlan, type Plan } from './plan.ts';

/** Lists of edits that are known by what they say. */
const MAX_LISTS = 1_024;
const NO_EDITS: readonly Edit[] = [];

/**
 * Snapshots of which a shard's plans are kept: one more than a lane has, for the reactor is told of
 * new plans while the oldest of the lane's still decides.
 */
export const SHARD_PAGES = TAG_EPOCHS + 1;

/**
 * Numbers of plans over several snapshots, the latest of which may all still decide: what the
 * reactor is given is the plans of all of them. A plan keeps its number while any of them has it.
 */
export class PlanBook {
  /** By number; what none has any more is there until its number is given again. */
  readonly plans: Plan[] = [];
  /** Numbers that were given since `takeFresh`. */
  private fresh: number[] = [];
  private readonly numbers = new Map<string, number>();
  private readonly keys: string[] = [];
  /** Numbers by snapshot, the latest last. */
  private readonly pages: Set<number>[] = [];
  private readonly maxPages: number;
  /** Lists of edits by what they say, and by the object. */
  private readonly ids = new Map<string, number>();
  private readonly idsOf = new WeakMap<readonly Edit[], number>();
  private nextId = 0;
  private free: number[] = [];

  constructor(maxPages = 1) {
    this.maxPages = maxPages;
  }

  /** A snapshot follows; the one so many before it decides no more. */
  turn(): void {
    this.pages.push(new Set([EDGE_PLAN]));
    if (this.pages.length <= this.maxPages) return;
    this.pages.shift();
    const used = new Set(this.pages.flatMap((page) => [...page]));
    for (let number = 0; number < this.plans.length; number++) if (!used.has(number)) this.forget(number);
  }

  /** What is new, or another, since this was asked last. */
  takeFresh(): NumberedPlan[] {
    const { plans, fresh } = this;
    this.fresh = [];
    return fresh.map((number) => ({ number, plan: plans[number]! }));
  }

  /** All of them. */
  all(): NumberedPlan[] {
    return this.plans.map((plan, number) => ({ number, plan }));
  }

  /**
   * The number of `plan`, for the snapshot of the last `turn`. `common` are edits in its request
   * that many plans have.
   */
  number(plan: Plan, common: readonly Edit[] = NO_EDITS): number {
    const key = this.keyOf(plan, common);
    const number = this.numbers.get(key) ?? this.add(plan, key);
    this.pages.at(-1)!.add(number);
    return number;
  }

  /** What a plan says. */
  private keyOf({ request, ...rest }: Plan, common: readonly Edit[]): string {
    const at = common.length === 0 ? 0 : request.indexOf(common[0]!);
    const own = [request.slice(0, at), request.slice(at + common.length)];
    return `${this.idOf(common)} ${JSON.stringify([own, rest])}`;
  }

  /** Of a list of edits that many plans have in them. */
  private idOf(common: readonly Edit[]): number {
    const known = this.idsOf.get(common);
    if (known !== undefined) return known;
    const text = JSON.stringify(common);
    let id = this.ids.get(text);
    if (id === undefined) {
      // A number is never given to another list, so that keys of plans stay right; those that are
      // forgotten here get new ones.
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
