/**
 * Whether a queue stands before the backends of an upstream, as one lane sees it, and how many
 * exchanges it may have there so that none does (docs/design/overload.md).
 *
 * A queue that stands is in the way of every request: then even the quickest answer of a window
 * comes late. Slow answers beside quick ones, streams and pauses do not show there. Such a window
 * halves what is in flight at most (a cut). What is sent from then on tells whether that made
 * answers quicker. If it did, there was a queue; if not, the backend takes its time whatever is in
 * flight, and there is no limit for a while.
 */

/**
 * A window lasts so long, and has so many answers; fewer where twice as many requests came. One
 * that does not come to that is forgotten.
 */
const WINDOW_MS = 100;
const ENOUGH = 8;
const ENOUGH_IN_GROWTH = 4;
const MOST_SAMPLES = 64;
const LONGEST_WINDOW_MS = 5_000;
/** How often it is looked at all. */
const TICK_MS = 32;
/**
 * Exchanges older than all slots together are streams, or nobody's: they are not counted in flight.
 */
const SLOT_MS = 256;
const SLOTS = 16;
/** The least latency is that of one to two times so long. */
const BASE_MS = 30_000;
/** An answer is quicker when it takes less than this part of what it took. */
const QUICKER = 0.8;
/** Cuts in a row that made nothing quicker: so the latency is no queue's. */
const VAIN_CUTS = 2;
/** How long the latency is left alone then: at first, and at most. */
const LEAVE_MS = 1_000;
const LEAVE_MOST_MS = 300_000;
/** How long a cut that helped proves that there is a queue. */
const PROOF_MS = 30_000;
/** A limit that kept nobody waiting for so long is lifted. */
const IDLE_MS = 2_000;
/** What is in flight is more than usual from this many times that on. */
const MORE = 1.25;
/** What is left of the best rate after a window, and the share of a window in the usual one. */
const RATE_DECAY = 0.9;
const RATE_SHARE = 0.3;
const PEAK_DECAY = 0.98;
/** So many answers, or such a time, say whether fewer in flight are fewer answers. */
const RATE_ANSWERS = 24;
const RATE_MS = 2_000;
/** A limit under which answers fall to this part of what they were is no limit to keep. */
const COLLAPSE = 0.4;
/** Share by which a limit grows in a window without any queue. */
const GROWTH = 0.25;

const NEVER = Number.NEGATIVE_INFINITY;

export class StandingQueue {
  /** No limit: what comes is sent on. */
  isOpen = true;
  /** Exchanges that may be in flight. */
  limit = Number.POSITIVE_INFINITY;
  /** Answers a millisecond: the most of the last windows. */
  rate = 0;

  private targetUs: number;
  /** In flight by the slot of time in which they were sent. */
  private readonly slots = new Int32Array(SLOTS);
  /**
   * Those of them whose clients have left: backends learn of that too late, and work on. Done when
   * one that was sent later is answered, or twice as old as answers are.
   */
  private readonly deadSlots = new Int32Array(SLOTS);
  private dead = 0;
  private slot = 0;
  /** When the slot began. */
  private slotAtMs: number;
  /**
   * Answers a millisecond, of the last windows on average; and the most that this was, forgotten by
   * and by.
   */
  private usualRate = 0;
  private peakRate = 0;
  private tickAtMs = 0;
  private windowAtMs: number;
  /** In flight when the window began, and how many had to wait since. */
  private flownThen = 0;
  private presses = 0;
  /** Answers ever, and before this window. */
  private answers = 0;
  private answersBefore = 0;
  /** Of those that were sent since the last cut. */
  private samples = 0;
  private unanswered = 0;
  private leastUs = Number.POSITIVE_INFINITY;
  /** Least latency of the present and of the time before it. */
  private newBaseUs = Number.POSITIVE_INFINITY;
  private oldBaseUs = Number.POSITIVE_INFINITY;
  private baseAtMs: number;
  /** Most in flight without a queue, of the same times. */
  private newCalm = 0;
  private oldCalm = 0;
  /** Least in flight by slot: what answers tell of is some time ago. */
  private readonly leastSlots = new Int32Array(SLOTS);
  /** Least latency of the last window. */
  private latestUs = 0;
  private cutAtMs = NEVER;
  private isProbing = false;
  /** Latency that would have come without the cut. */
  private expectedUs = 0;
  /**
   * Answers a millisecond that will have come if there was no queue and fewer in flight are simply
   * fewer.
   */
  private fewerRate = 0;
  /** When the first was sent after the cut, and how many answers had come by then. */
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

  /**
   * Exchanges of the last seconds that have not ended. Summed up when asked for: most of the time
   * nobody asks.
   */
  get inFlight(): number {
    const { slots } = this;
    let sum = 0;
    for (let i = 0; i < SLOTS; i++) sum += slots[i]!;
    return sum;
  }

  /** Another configuration. */
  aim(targetMs: number): void {
    this.targetUs = targetMs * 1_000;
  }

  /** Latency without a queue, µs; infinite when not known. */
  get baseUs(): number {
    return Math.min(this.newBaseUs, this.oldBaseUs);
  }

  /** Most in flight of late without a queue. */
  private get calm(): number {
    return Math.max(1, this.newCalm, this.oldCalm);
  }

  /** A cut has helped lately: whoever waits is in a queue, and it may be shortened. */
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

  /** One that was counted was not sent after all. */
  takeBack(): void {
    this.slots[this.slot & (SLOTS - 1)]! -= 1;
  }

  /** Somebody has to wait. */
  press(nowMs: number): void {
    if (nowMs >= this.tickAtMs) this.tick(nowMs);
    this.pressedAtMs = nowMs;
    this.presses += 1;
  }

  /**
   * An exchange ended that was sent `heldUs` ago. Its answer came after `latencyUs`; 0 where that
   * says nothing.
   */
  leave(nowMs: number, heldUs: number, latencyUs: number): void {
    if (nowMs >= this.tickAtMs) this.tick(nowMs);
    const back = this.slotsBack(nowMs, heldUs);
    if (back < SLOTS) this.slots[(this.slot - back) & (SLOTS - 1)]! -= 1;
    this.answers += 1;
    if (this.dead > 0) this.forgetDead(this.slot - back);
    // The quickest of so many is quick enough.
    if (latencyUs === 0 || this.samples >= MOST_SAMPLES || nowMs - heldUs / 1_000 < this.cutAtMs) return;
    this.samples += 1;
    if (latencyUs < this.leastUs) this.leastUs = latencyUs;
  }

  /**
   * One ended without an answer: it would have taken longer, which is worth knowing once it is
   * later than answers may be. Its backend works on.
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
   * The latency is left alone: what was done made it no better, or has not shown any effect for as
   * long as anybody may wait.
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
      // So few answers say nothing, and a limit that few pass could be the reason.
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

  /**
   * Least in flight of the time since the latest was sent that could be answered in time by now.
   */
  private leastInFlight(): number {
    const slots = Math.min(SLOTS, 2 + Math.floor(this.mostUs() / 1_000 / SLOT_MS));
    let least = this.inFlight;
    for (let i = 0; i < slots; i++) least = Math.min(least, this.leastSlots[(this.slot - i) & (SLOTS - 1)]!);
    return least;
  }

  /** Backends are done with the dead of slots before `done`. */
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

  /** How many slots before this one an exchange was sent. Most often none. */
  private slotsBack(nowMs: number, heldUs: number): number {
    const beforeMs = heldUs / 1_000 - (nowMs - this.slotAtMs);
    return beforeMs <= 0 ? 0 : 1 + Math.trunc(beforeMs / SLOT_MS);
  }

  private close(nowMs: number, ageMs: number): void {
    const us = this.leastUs;
    this.latestUs = us;
    // Windows in which a backend paused say little of what it can do.
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

  /** What the cut has done: `us` is of requests that were sent after it. */
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
    // Of those who left nobody knows whether it would have been quicker.
    if (!isGuess) this.vainCuts += 1;
    if (this.vainCuts < VAIN_CUTS) this.cut(nowMs, us);
    else this.giveUp(nowMs, us);
  }

  /**
   * To what is in flight and not queued (by Little's law `rate` times the wait is queued), or to
   * what was in flight when there was no queue. Not to less than a quarter, for answers tell of the
   * time when they were asked for.
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

  /** Latency from which on an answer is late. */
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
