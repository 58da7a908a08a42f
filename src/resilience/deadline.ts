/**
 * The time that a request has: what the caller gives it (`grpc-timeout`, or a field in
 * milliseconds), never more than the service itself allows. Read as the edge reads it
 * (`src/lane/head/deadline.ts`), handed on to calls further on with what is left.
 */

import { earlier, grpcTimeout, milliseconds, NO_DEADLINE } from '../lane/head/deadline.ts';
import { type Clock, systemClock } from './clock.ts';
import { DeadlineError } from './errors.ts';
import { type OnEvent, tell } from './events.ts';
import { checkNumbers, withDefaults } from './options.ts';

export interface DeadlineTerms {
  /** What the service allows; 0 for as long as the caller says. */
  readonly maxMs: number;
  /** Field of the caller, whole milliseconds; empty for none. */
  readonly header: string;
  /** `grpc-timeout` is obeyed. */
  readonly isGrpcObeyed: boolean;
}

export interface DeadlineOptions extends Partial<DeadlineTerms> {
  readonly onEvent?: OnEvent;
  readonly clock?: Clock;
}

/**
 * Fields of a request: those of `node:http`, of fetch, or a plain object. Names are in lower case.
 */
export type FieldsLike =
  | { get(name: string): string | null | undefined }
  | { readonly [name: string]: string | readonly string[] | undefined };

export interface Deadline {
  /**
   * Aborts with a DeadlineError when the time is over, or with the reason of the signal that was
   * given.
   */
  readonly signal: AbortSignal;
  readonly isOver: boolean;
  /** Infinity where nobody set a limit. */
  remainingMs(): number;
  /**
   * What to send with calls further on: the same fields, with what is left. Empty where nobody set
   * a limit.
   */
  headers(): Record<string, string>;
  /**
   * Calls `work`, and throws the signal's reason as soon as that aborts, whether `work` listens to
   * the signal or not.
   */
  run<Result>(work: (signal: AbortSignal) => Result | PromiseLike<Result>): Promise<Result>;
  /** The request is done: nothing aborts any more. */
  clear(): void;
}

export const DEADLINE_DEFAULTS: DeadlineTerms = { maxMs: 0, header: '', isGrpcObeyed: true };

/**
 * The deadline of a request with these fields. `signal` ends it early, as when the client leaves.
 * To be cleared when the request is done.
 */
export function deadlineOf(fields: FieldsLike, options: DeadlineOptions & { readonly signal?: AbortSignal } = {}): Deadline {
  return createDeadlines(options)(fields, options.signal);
}

/**
 * `deadlineOf` with the options looked at once. Throws `config_not_valid` where an option is out of
 * its range.
 */
export function createDeadlines(options: DeadlineOptions = {}): (fields: FieldsLike, signal?: AbortSignal, maxMs?: number) => Deadline {
  const terms = withDefaults<DeadlineTerms>(options, DEADLINE_DEFAULTS);
  checkNumbers('deadline', terms, { maxMs: [0, 86_400_000] });
  const header = terms.header.toLowerCase();
  const own = terms.maxMs === 0 ? Number.POSITIVE_INFINITY : terms.maxMs;
  return (fields, signal, maxMs = Number.POSITIVE_INFINITY) => {
    const said = earlier(
      header === '' ? NO_DEADLINE : milliseconds(fieldOf(fields, header)),
      terms.isGrpcObeyed ? grpcTimeout(fieldOf(fields, 'grpc-timeout')) : NO_DEADLINE,
    );
    const givenMs = Math.min(own, maxMs, said === NO_DEADLINE ? Number.POSITIVE_INFINITY : said);
    return new RunningDeadline(givenMs, { ...terms, header }, options.clock ?? systemClock, options.onEvent, signal);
  };
}

class RunningDeadline implements Deadline {
  private readonly controller = new AbortController();
  private readonly terms: DeadlineTerms;
  private readonly clock: Clock;
  private readonly endsMs: number;
  private readonly stopClock: (() => void) | undefined;
  private readonly parent: AbortSignal | undefined;
  private readonly abortWithParent = () => this.end(this.parent?.reason);

  constructor(givenMs: number, terms: DeadlineTerms, clock: Clock, onEvent: OnEvent | undefined, parent: AbortSignal | undefined) {
    this.terms = terms;
    this.clock = clock;
    this.parent = parent;
    this.endsMs = clock.now() + givenMs;
    const over = () => {
      tell(onEvent, { event: 'exchange_timeout', name: '', atMs: clock.now() });
      this.end(new DeadlineError(givenMs));
    };
    if (parent?.aborted) this.end(parent.reason);
    else if (givenMs <= 0) over();
    else {
      parent?.addEventListener('abort', this.abortWithParent, { once: true });
      if (givenMs !== Number.POSITIVE_INFINITY) this.stopClock = clock.after(givenMs, over, true);
    }
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  get isOver(): boolean {
    return this.signal.aborted || this.remainingMs() === 0;
  }

  remainingMs(): number {
    return Math.max(0, this.endsMs - this.clock.now());
  }

  headers(): Record<string, string> {
    const leftMs = this.remainingMs();
    if (leftMs === Number.POSITIVE_INFINITY) return {};
    const { header, isGrpcObeyed } = this.terms;
    return {
      ...(header === '' ? {} : { [header]: String(Math.floor(leftMs)) }),
      ...(isGrpcObeyed ? { 'grpc-timeout': grpcTimeoutOf(leftMs) } : {}),
    };
  }

  async run<Result>(work: (signal: AbortSignal) => Result | PromiseLike<Result>): Promise<Result> {
    const { signal } = this;
    signal.throwIfAborted();
    let stop = () => {};
    const aborted = new Promise<never>((_, reject) => {
      stop = () => reject(signal.reason);
      signal.addEventListener('abort', stop, { once: true });
    });
    try {
      return await Promise.race([work(signal), aborted]);
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  clear(): void {
    this.stopClock?.();
    this.parent?.removeEventListener('abort', this.abortWithParent);
  }

  private end(reason: unknown): void {
    this.clear();
    this.controller.abort(reason);
  }
}

/** The first line where there are several, as the edge takes it. */
function fieldOf(fields: FieldsLike, name: string): string | undefined {
  const value = typeof fields['get'] === 'function' ? fields['get'](name) : (fields as { readonly [name: string]: unknown })[name];
  const first: unknown = Array.isArray(value) ? value[0] : value;
  return typeof first === 'string' ? first : undefined;
}

/**
 * A positive number of at most eight digits and a unit (gRPC over HTTP/2, "Timeout"), as the edge
 * writes it: never more than is left, but for what is next to nothing.
 */
function grpcTimeoutOf(leftMs: number): string {
  const ms = Math.max(1, Math.floor(leftMs));
  return ms <= 99_999_999 ? `${ms}m` : `${Math.floor(ms / 1_000)}S`;
}
