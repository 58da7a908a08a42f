/**
 * Detects a standing queue in front of an upstream's backends, as one lane sees it, and how many
 * exchanges may be in flight so that there is none (docs/design/overload.md).
 *
 * A standing queue delays every request, so even the quickest answer of a window is late. Slow
 * answers among quick ones, streams and pauses do not look like that. Such a window halves the
 * maximum in flight (a cut). Requests sent after the cut tell whether it helped. If their answers
 * are quicker there was a queue. If not, the backend is slow whatever is in flight, and the limit
 * is lifted for a while.
 */

/**
 * A window lasts at least this long and has at least this many answers; fewer if twice as many
 * requests arrived. A window that does not get there is discarded.
 */
const WINDOW_MS = 100;
const ENOUGH = 8;
const ENOUGH_IN_GROWTH = 4;
const MOST_SAMPLES = 64;
const LONGEST_WINDOW_MS = 5_000;
/** Interval of the check. */
const TICK_MS = 32;
/** Exchanges older than all slots together are streams or lost; they do not count as in flight. */
const SLOT_MS = 256;
const SLOTS = 16;
/** The base latency is the minimum of the last one to two periods of this length. */
const BASE_MS = 30_000;
/** Answers below this share of the earlier latency count as quicker. */
const QUICKER = 0.8;
/** After this many cuts in a row without effect, the latency is not due to a queue. */
const VAIN_CUTS = 2;
/** How long no cut is made then: the first time, and at most. */
const LEAVE_MS = 1_000;
const LEAVE_MOST_MS = 300_000;
/** How long a cut that helped counts as proof of a queue. */
const PROOF_MS = 30_000;
/** A limit at which nobody had to wait for this long is lifted. */
const IDLE_MS = 2_000;
/** From this multiple on, more is in flight than usual. */
const MORE = 1.25;
/** Decay of the best rate per window, and the weight of a window in the usual rate. */
const RATE_DECAY = 0.9;
const RATE_SHARE = 0.3;
const PEAK_DECAY = 0.98;
/** Answers, or time, needed to tell whether fewer in flight means fewer answers. */
const RATE_ANSWERS = 24;
const RATE_MS = 2_000;
/** A limit under which the rate falls to this share is lifted. */
const COLLAPSE = 0.4;
/** Growth of the limit in a window without a queue. */
const GROWTH = 0.25;

const NEVER = Number.NEGATIVE_INFINITY;

export class StandingQueue {
  /** No limit: every request is sent. */
  isOpen = true;
  /** Exchanges that may be in flight. */
  limit = Number.POSITIVE_INFINITY;
  /** Answers per millisecond, the maximum of recent windows. */
  rate = 0;

  private targetUs: number;
  /** In flight, by the slot of time in which they were sent. */
  private readonly slots = new Int32Array(SLOTS);
  /**
   * Those among them whose clients have left. Backends notice too late and go on working. They are
   * taken off when one sent later is answered, or at twice the age of an answer.
   */
  private readonly deadSlots = new Int32Array(SLOTS);
  private dead = 0;
  private slot = 0;
  /** Start of the slot. */
  private slotAtMs: number;
  /** Answers per millisecond, averaged over recent windows, and the decaying maximum of that. */
  private usualRate = 0;
  private peakRate = 0;
  private tickAtMs = 0;
  private windowAtMs: number;
  /** In flight when the window began, and how many have had to wait since. */
  private flownThen = 0;
  private presses = 0;
  /** Answers in all, and before this window. */
  private answers = 0;
  private answersBefore = 0;
  /** Of requests sent since the last cut. */
  private samples = 0;
  private unanswered = 0;
  private leastUs = Number.POSITIVE_INFINITY;
  /** Base latency of the present period and of the one before. */
  private newBaseUs = Number.POSITIVE_INFINITY;
  private oldBaseUs = Number.POSITIVE_INFINITY;
  private baseAtMs: number;
  /** Maximum in flight without a queue, for the same periods. */
  private newCalm = 0;
  private oldCalm = 0;
  /** Minimum in flight by slot: an answer tells of the past. */
  private readonly leastSlots = new Int32Array(SLOTS);
  /** Minimum latency of the last window. */
  private latestUs = 0;
  private cutAtMs = NEVER;
  private isProbing = false;
  /** The latency to expect without the cut. */
  private expectedUs = 0;
  /**
   * The answers per millisecond to expect if there was no queue and fewer in flight simply means
   * fewer answers.
   */
  private fewerRate = 0;
  /** When the first request was sent after the cut, and the number of answers by then. */
  private resumedAtMs = NEVER;
  private resumedAt = 0;
  private vainCuts = 0;
  private leaveMs = LEAVE_MS;
  private leftUntilMs = NEVER;
  private provenUntilMs = NEVER;
  private pressedAtMs = NEVER;

  constructor(targetMs: number, nowMs: number) {
    this.targetUs = targetMs * 1_000;
    this.slotAtMs = nowMs;
    this.windowAtMs = nowMs;
    this.baseAtMs = nowMs;
  }

  /** Exchanges of the last seconds that have not ended. Summed on demand, because that is rare. */
  get inFlight(): number {
    const { slots } = this;
    let sum = 0;
    for (let i = 0; i < SLOTS; i++) sum += slots[i]!;
    return sum;
  }

  /** Takes a new configuration. */
  aim(targetMs: number): void {
    this.targetUs = targetMs * 1_000;
  }

  /** Base latency, µs; infinite if unknown. */
  get baseUs(): number {
    return Math.min(this.newBaseUs, this.oldBaseUs);
  }

  /** Recent maximum in flight without a queue. */
  private get calm(): number {
    return Math.max(1, this.newCalm, this.oldCalm);
  }

  /** A cut helped recently: those who wait are in a real queue, and it may be shortened. */
  isProven(nowMs: number): boolean {
    return nowMs < this.provenUntilMs;
  }

  /** An exchange is sent. */
  enter(nowMs: number): void {
    if (nowMs >= this.tickAtMs) this.tick(nowMs);
    this.slots[this.slot & (SLOTS - 1)]! += 1;
  }

  /** An exchange is sent within the limit. */
  enterLimited(nowMs: number): void {
    this.enter(nowMs);
    if (this.resumedAtMs !== NEVER) return;
    this.resumedAtMs = nowMs;
    this.resumedAt = this.answers;
  }

  /** An exchange that was counted is not sent after all. */
  takeBack(): void {
    this.slots[this.slot & (SLOTS - 1)]! -= 1;
  }

  /** An exchange has to wait. */
  press(nowMs: number): void {
    if (nowMs >= this.tickAtMs) this.tick(nowMs);
    this.pressedAtMs = nowMs;
    this.presses += 1;
  }

  /**
   * An exchange ended that was sent `heldUs` ago. Its answer took `latencyUs`, 0 if that says
   * nothing.
   */
  leave(nowMs: number, heldUs: number, latencyUs: number): void {
    if (nowMs >= this.tickAtMs) this.tick(nowMs);
    const back = this.slotsBack(nowMs, heldUs);
    if (back < SLOTS) this.slots[(this.slot - back) & (SLOTS - 1)]! -= 1;
    this.answers += 1;
    if (this.dead > 0) this.forgetDead(this.slot - back);
    // Minimum of enough samples is good enough.
    if (latencyUs === 0 || this.samples >= MOST_SAMPLES || nowMs - heldUs / 1_000 < this.cutAtMs) return;
    this.samples += 1;
    if (latencyUs < this.leastUs) this.leastUs = latencyUs;
  }

  /**
   * An exchange ended without an answer. That it took at least this long is worth knowing once it
   * exceeds the target. Its backend goes on working.
   */
  leaveUnanswered(nowMs: number, heldUs: number): void {
    if (nowMs >= this.tickAtMs) this.tick(nowMs);
    const back = this.slotsBack(nowMs, heldUs);
    if (back < SLOTS) {
      this.deadSlots[(this.slot - back) & (SLOTS - 1)]! += 1;
      this.dead += 1;
    }
    if (nowMs - heldUs / 1_000 < this.cutAtMs || heldUs < this.mostUs()) return;
    this.samples += 1;
    this.unanswered += 1;
    if (heldUs < this.leastUs) this.leastUs = heldUs;
  }

  /**
   * Stops cutting for a while: the cuts did not help, or showed no effect in the time that anybody
   * may wait.
   */
  giveUp(nowMs: number, us = this.latestUs): void {
    this.newBaseUs = Math.max(us, this.baseUs);
    this.oldBaseUs = this.newBaseUs;
    this.baseAtMs = nowMs;
    this.provenUntilMs = NEVER;
    this.leftUntilMs = nowMs + this.leaveMs;
    this.leaveMs = Math.min(LEAVE_MOST_MS, this.leaveMs * 2);
    this.lift(nowMs);
  }

  private tick(nowMs: number): void {
    this.tickAtMs = nowMs + TICK_MS;
    this.forgetOld(nowMs);
    if (this.dead > 0) this.forgetDead(this.slot - this.slotsBack(nowMs, 2 * this.latestUs));
    if (!this.isOpen && nowMs - this.pressedAtMs >= IDLE_MS) this.lift(nowMs);
    const ageMs = nowMs - this.windowAtMs;
    if (ageMs < WINDOW_MS) return;
    const { samples } = this;
    const came = this.inFlight - this.flownThen + this.answers - this.answersBefore + this.presses;
    if (samples >= ENOUGH || (samples >= ENOUGH_IN_GROWTH && came >= 2 * samples)) this.close(nowMs, ageMs);
    else if (ageMs >= LONGEST_WINDOW_MS) {
      // With so few answers nothing can be said, and a limit that lets few pass may be the reason.
      if (!this.isOpen) this.limit += Math.max(1, this.limit * GROWTH);
      this.begin(nowMs);
    }
  }

  private forgetOld(nowMs: number): void {
    const { slots, deadSlots, leastSlots } = this;
    const inFlight = this.inFlight;
    const now = this.slot & (SLOTS - 1);
    if (inFlight < leastSlots[now]!) leastSlots[now] = inFlight;
    let begun = Math.floor((nowMs - this.slotAtMs) / SLOT_MS);
    this.slotAtMs += begun * SLOT_MS;
    this.slot += begun;
    for (begun = Math.min(begun, SLOTS); begun > 0; begun--) {
      const at = (this.slot - begun + 1) & (SLOTS - 1);
      slots[at] = 0;
      this.dead -= deadSlots[at]!;
      deadSlots[at] = 0;
      leastSlots[at] = inFlight;
    }
  }

  /** Minimum in flight since the latest request was sent that can have been answered by now. */
  private leastInFlight(): number {
    const slots = Math.min(SLOTS, 2 + Math.floor(this.mostUs() / 1_000 / SLOT_MS));
    let least = this.inFlight;
    for (let i = 0; i < slots; i++) least = Math.min(least, this.leastSlots[(this.slot - i) & (SLOTS - 1)]!);
    return least;
  }

  /** Backends have finished with abandoned exchanges of slots before `done`. */
  private forgetDead(done: number): void {
    for (let slot = this.slot - SLOTS + 1; slot < done; slot++) {
      const at = slot & (SLOTS - 1);
      const dead = this.deadSlots[at]!;
      if (dead === 0) continue;
      this.deadSlots[at] = 0;
      this.slots[at]! -= dead;
      this.dead -= dead;
      this.answers += dead;
    }
  }

  /** How many slots ago an exchange was sent; usually none. */
  private slotsBack(nowMs: number, heldUs: number): number {
    const beforeMs = heldUs / 1_000 - (nowMs - this.slotAtMs);
    return beforeMs <= 0 ? 0 : 1 + Math.trunc(beforeMs / SLOT_MS);
  }

  private close(nowMs: number, ageMs: number): void {
    const us = this.leastUs;
    this.latestUs = us;
    // A window in which the backend paused says little about its rate.
    const rate = (this.answers - this.answersBefore) / ageMs;
    this.rate = Math.max(rate, this.rate * RATE_DECAY);
    this.usualRate = this.usualRate === 0 ? rate : this.usualRate + (rate - this.usualRate) * RATE_SHARE;
    this.peakRate = Math.max(this.usualRate, this.peakRate * PEAK_DECAY);
    this.learnBase(nowMs, us);
    const isLate = us > this.mostUs();
    if (!isLate) this.newCalm = Math.max(this.newCalm, this.leastInFlight());
    if (this.isOpen) {
      if (isLate && nowMs >= this.leftUntilMs && this.inFlight > this.calm * MORE) this.cut(nowMs, us);
    } else if (this.isProven(nowMs) && this.unanswered === 0 && this.usualRate < this.peakRate * COLLAPSE) this.giveUp(nowMs, us);
    else if (this.isProbing) this.judge(nowMs, us, isLate);
    else if (isLate) this.cut(nowMs, us);
    else if (this.pressedAtMs >= this.windowAtMs) this.grow(us);
    this.begin(nowMs);
  }

  /** Judges the last cut. `us` is the latency of requests sent after it. */
  private judge(nowMs: number, us: number, isLate: boolean): void {
    const isProven = nowMs < this.provenUntilMs;
    const isGuess = this.unanswered === this.samples;
    if (!isProven && !isGuess) {
      const answers = this.answers - this.resumedAt;
      const ms = Math.max(1, nowMs - this.resumedAtMs);
      if (answers < RATE_ANSWERS && ms < RATE_MS) return;
      if (answers / ms < this.fewerRate) {
        this.giveUp(nowMs, us);
        return;
      }
    }
    if (!isLate || us < this.expectedUs * QUICKER) {
      this.provenUntilMs = nowMs + PROOF_MS;
      this.leaveMs = LEAVE_MS;
      this.vainCuts = 0;
      if (isLate) this.cut(nowMs, us);
      else this.isProbing = false;
      return;
    }
    // Nobody knows whether those who left would have been answered sooner.
    if (!isGuess) this.vainCuts += 1;
    if (this.vainCuts < VAIN_CUTS) this.cut(nowMs, us);
    else this.giveUp(nowMs, us);
  }

  /**
   * Cuts to what is in flight but not queued (Little's law: `rate` times the wait is queued), or to
   * what was in flight without a queue, but to no less than a quarter, because answers tell of the
   * past.
   */
  private cut(nowMs: number, us: number): void {
    const { rate } = this;
    const inFlight = Math.min(this.inFlight, this.limit);
    const unqueued = inFlight - (rate * (us - this.baseUs)) / 1_000;
    const wanted = this.isOpen ? this.calm : unqueued;
    this.expectedUs = Math.max(us, this.isOpen ? (inFlight / rate) * 1_000 : 0);
    this.limit = Math.max(1, Math.ceil(Math.max(inFlight / (this.isProven(nowMs) ? 4 : 2), wanted)));
    this.fewerRate = (this.peakRate * (1 + (2 * this.limit) / Math.max(this.limit, inFlight))) / 3;
    this.resumedAtMs = NEVER;
    this.isOpen = false;
    this.isProbing = true;
    this.cutAtMs = nowMs;
    if (this.pressedAtMs === NEVER) this.pressedAtMs = nowMs;
  }

  private grow(us: number): void {
    const room = 1 - (us - this.baseUs) / (this.mostUs() - this.baseUs);
    this.limit += Math.max(1, this.limit * GROWTH * room);
  }

  private lift(nowMs: number): void {
    this.isOpen = true;
    this.isProbing = false;
    this.limit = Number.POSITIVE_INFINITY;
    this.vainCuts = 0;
    this.cutAtMs = NEVER;
    this.pressedAtMs = NEVER;
    this.begin(nowMs);
  }

  /** Answers above this latency are late. */
  private mostUs(): number {
    const base = this.baseUs;
    return base + Math.max(this.targetUs, base / 2);
  }

  private learnBase(nowMs: number, us: number): void {
    if (nowMs - this.baseAtMs >= BASE_MS) {
      this.oldBaseUs = this.newBaseUs;
      this.newBaseUs = us;
      this.oldCalm = this.newCalm;
      this.newCalm = 0;
      this.baseAtMs = nowMs;
    } else if (us < this.newBaseUs) this.newBaseUs = us;
  }

  private begin(nowMs: number): void {
    this.windowAtMs = nowMs;
    this.presses = 0;
    this.flownThen = this.inFlight;
    this.answersBefore = this.answers;
    this.samples = 0;
    this.unanswered = 0;
    this.leastUs = Number.POSITIVE_INFINITY;
  }
}
