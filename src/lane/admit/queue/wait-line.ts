/**
 * A queue of exchanges that wait for a place, in order: a ring that grows up to its bound. An
 * exchange that leaves from the middle is marked and skipped later, because its position in the
 * ring is its ticket, by which it is found when it asks again.
 */

/** States of a ticket. */
export const GONE = 0;
export const WAITS_STILL = 1;
/** A place was taken for it and it was woken, but it has not come back yet. */
export const GRANTED = 2;
export type TicketState = typeof GONE | typeof WAITS_STILL | typeof GRANTED;

/** No ticket: nobody waits, or there is no room. */
export const NO_TICKET = -1;

const FIRST_CAPACITY = 16;

export class WaitLine {
  /** How many are still waiting. */
  count = 0;
  private indexes = new Uint32Array(FIRST_CAPACITY);
  private generations = new Uint32Array(FIRST_CAPACITY);
  private states = new Uint8Array(FIRST_CAPACITY);
  private sinceMs = new Float64Array(FIRST_CAPACITY);
  /** Tickets ever given, and tickets ever done with; both wrap at 2^30. */
  private last = 0;
  private first = 0;
  /** No ticket before this one is still waiting. */
  private next = 0;
  private readonly maxCapacity: number;

  /** At most `max` wait. Twice as many tickets may exist, because those who left lie in between. */
  constructor(max: number) {
    this.maxCapacity = Math.max(FIRST_CAPACITY, 2 ** Math.ceil(Math.log2(max * 2)));
  }

  /**
   * Queues an exchange from `nowMs` on and returns its ticket, or NO_TICKET if there is no room.
   */
  join(index: number, generation: number, nowMs: number): number {
    this.skip();
    if (this.length === this.indexes.length && !this.grow()) return NO_TICKET;
    const ticket = this.last;
    this.last = (ticket + 1) & TICKETS;
    const at = ticket & (this.indexes.length - 1);
    this.indexes[at] = index;
    this.generations[at] = generation;
    this.states[at] = WAITS_STILL;
    this.sinceMs[at] = nowMs;
    this.count += 1;
    return ticket;
  }

  /** State of `ticket`; GONE if it is another exchange's. */
  state(ticket: number, index: number, generation: number): TicketState {
    const at = ticket & (this.indexes.length - 1);
    const isOut = ((ticket - this.first) & TICKETS) < this.length;
    return isOut && this.indexes[at] === index && this.generations[at] === generation ? (this.states[at] as TicketState) : GONE;
  }

  /** When the exchange was queued. */
  since(ticket: number): number {
    return this.sinceMs[ticket & (this.indexes.length - 1)]!;
  }

  /** Tickets before this one: an upper bound of those who wait before it. */
  ahead(ticket: number): number {
    return (ticket - this.first) & TICKETS;
  }

  /** Ticket of the one that has waited longest, or NO_TICKET. */
  longest(): number {
    if (this.count === 0) return NO_TICKET;
    let ticket = this.ahead(this.next) <= this.length ? this.next : this.first;
    while (this.states[ticket & (this.indexes.length - 1)] !== WAITS_STILL) ticket = (ticket + 1) & TICKETS;
    this.next = ticket;
    return ticket;
  }

  /** Ticket of the one that came last, or NO_TICKET. */
  newest(): number {
    if (this.count === 0) return NO_TICKET;
    const mask = this.indexes.length - 1;
    // Finished tickets at the end are reused.
    while (this.states[(this.last - 1) & TICKETS & mask] === GONE) this.last = (this.last - 1) & TICKETS;
    let ticket = (this.last - 1) & TICKETS;
    while (this.states[ticket & mask] !== WAITS_STILL) ticket = (ticket - 1) & TICKETS;
    return ticket;
  }

  indexOf(ticket: number): number {
    return this.indexes[ticket & (this.indexes.length - 1)]!;
  }

  generationOf(ticket: number): number {
    return this.generations[ticket & (this.indexes.length - 1)]!;
  }

  grant(ticket: number): void {
    this.states[ticket & (this.indexes.length - 1)] = GRANTED;
    this.count -= 1;
  }

  /** The exchange went on or left. */
  end(ticket: number): void {
    const at = ticket & (this.indexes.length - 1);
    if (this.states[at] === WAITS_STILL) this.count -= 1;
    this.states[at] = GONE;
    this.skip();
  }

  private get length(): number {
    return (this.last - this.first) & TICKETS;
  }

  private skip(): void {
    while (this.first !== this.last && this.states[this.first & (this.indexes.length - 1)] === GONE)
      this.first = (this.first + 1) & TICKETS;
  }

  private grow(): boolean {
    const capacity = this.indexes.length * 2;
    if (capacity > this.maxCapacity) return false;
    const { indexes, generations, states, sinceMs } = this;
    this.indexes = new Uint32Array(capacity);
    this.generations = new Uint32Array(capacity);
    this.states = new Uint8Array(capacity);
    this.sinceMs = new Float64Array(capacity);
    for (let ticket = this.first; ticket !== this.last; ticket = (ticket + 1) & TICKETS) {
      const from = ticket & (indexes.length - 1);
      const to = ticket & (capacity - 1);
      this.indexes[to] = indexes[from]!;
      this.generations[to] = generations[from]!;
      this.states[to] = states[from]!;
      this.sinceMs[to] = sinceMs[from]!;
    }
    return true;
  }
}

const TICKETS = 2 ** 30 - 1;

/**
 * Of lines by priority, the least first, the one of the highest in which somebody waits; one does.
 */
export function firstLine(lines: readonly WaitLine[]): WaitLine {
  let i = lines.length - 1;
  while (lines[i]!.count === 0) i -= 1;
  return lines[i]!;
}

/** How many wait with a lower priority. */
export function waitingBelow(lines: readonly WaitLine[], priority: number): number {
  let waiting = 0;
  for (let i = 0; i < priority; i++) waiting += lines[i]!.count;
  return waiting;
}
