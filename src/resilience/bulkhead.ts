/**
 * A bulkhead: so many calls at once, so many more waiting in order for a bounded time, the others
 * refused at once. The edge's is bound to its exchanges, which wait in the reactor; here promises
 * wait. Who frees a place hands it to the first who waits, so that nobody who comes later is
 * faster.
 */

import { type Clock, systemClock } from './clock.ts';
import { BulkheadFullError, QueueTimeoutError } from './errors.ts';
import { type OnEvent, type ResilienceEventCode, tell } from './events.ts';
import { checkNumbers, withDefaults } from './options.ts';

/**
 * As the edge's `limits`; the defaults are the same, but for `max`, without which there would be
 * none.
 */
export interface BulkheadTerms {
  /** Calls at once. */
  readonly max: number;
  /** Calls that may wait; 0 for none. */
  readonly queue: number;
  /** Who waits longer is refused. */
  readonly queueTimeoutMs: number;
}

export interface BulkheadOptions extends Partial<Omit<BulkheadTerms, 'max'>> {
  readonly max: number;
  /** In errors and events. */
  readonly name?: string;
  readonly onEvent?: OnEvent;
  readonly clock?: Clock;
}

/** Gives the place back; again, it does nothing. */
export type Release = () => void;

export const BULKHEAD_DEFAULTS: Omit<BulkheadTerms, 'max'> = { queue: 0, queueTimeoutMs: 1_000 };

/** Weight of the latest call in the mean time that a place is held. */
const HELD_WEIGHT = 1 / 8;

export class Bulkhead {
  readonly name: string;
  readonly max: number;

  private readonly queue: number;
  private readonly queueTimeoutMs: number;
  private readonly onEvent: OnEvent | undefined;
  private readonly clock: Clock;
  private taken = 0;
  private heldMs = 0;
  /** In the order in which they came: each is called with its place. */
  private readonly waiters = new Set<(release: Release) => void>();

  constructor(options: BulkheadOptions) {
    const terms = withDefaults<BulkheadTerms>(options, { ...BULKHEAD_DEFAULTS, max: Number.NaN });
    checkNumbers('createBulkhead', terms, { max: [1, 1_000_000], queue: [0, 1_000_000], queueTimeoutMs: [1, 86_400_000] });
    this.name = options.name ?? '';
    this.max = terms.max;
    this.queue = terms.queue;
    this.queueTimeoutMs = terms.queueTimeoutMs;
    this.onEvent = options.onEvent;
    this.clock = options.clock ?? systemClock;
  }

  get inFlight(): number {
    return this.taken;
  }

  get waiting(): number {
    return this.waiters.size;
  }

  /**
   * Calls `work` when there is a place, and gives what it gives. Throws BulkheadFullError,
   * QueueTimeoutError, or the signal's reason when it aborts while the call waits.
   */
  async run<Result>(work: () => Result | PromiseLike<Result>, { signal }: { readonly signal?: AbortSignal } = {}): Promise<Result> {
    const release = this.tryAcquire() ?? (await this.acquire(signal));
    try {
      return await work();
    } finally {
      release();
    }
  }

  /** A place if there is one at once. */
  tryAcquire(): Release | undefined {
    if (this.taken >= this.max) return undefined;
    this.taken += 1;
    return this.place();
  }

  /** A place, perhaps after a time in the queue; rejects as `run` does. */
  acquire(signal?: AbortSignal): Promise<Release> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const release = this.tryAcquire();
      if (release !== undefined) resolve(release);
      else if (this.waiters.size < this.queue) this.wait(resolve, reject, signal);
      else {
        this.tell('route_full');
        reject(new BulkheadFullError(this.name, this.expectedMs()));
      }
    });
  }

  private wait(resolve: (release: Release) => void, reject: (error: unknown) => void, signal: AbortSignal | undefined): void {
    this.tell('queued');
    const leave = () => {
      this.waiters.delete(enter);
      cancel();
      signal?.removeEventListener('abort', abort);
    };
    const enter = (release: Release) => {
      leave();
      resolve(release);
    };
    const abort = () => {
      leave();
      reject(signal?.reason);
    };
    const cancel = this.clock.after(this.queueTimeoutMs, () => {
      leave();
      this.tell('queue_timeout');
      reject(new QueueTimeoutError(this.name, this.queueTimeoutMs, this.expectedMs()));
    });
    this.waiters.add(enter);
    signal?.addEventListener('abort', abort, { once: true });
  }

  /** The place that was just taken, or handed on. */
  private place(): Release {
    const sinceMs = this.clock.now();
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.heldMs += (this.clock.now() - sinceMs - this.heldMs) * HELD_WEIGHT;
      const [next] = this.waiters;
      if (next === undefined) this.taken -= 1;
      else next(this.place());
    };
  }

  /** When a newcomer can expect a place: those who wait take theirs first. */
  private expectedMs(): number {
    return Math.max(1, Math.ceil(((this.waiters.size + 1) * this.heldMs) / this.max));
  }

  private tell(event: ResilienceEventCode): void {
    tell(this.onEvent, { event, name: this.name, atMs: this.clock.now() });
  }
}

/**
 * A bulkhead; see `BulkheadOptions`. Throws `config_not_valid` where an option is out of its range.
 */
export function createBulkhead(options: BulkheadOptions): Bulkhead {
  return new Bulkhead(options);
}
