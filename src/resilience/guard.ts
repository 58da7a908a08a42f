/**
 * The parts before a service's handlers, in their order: a request is counted by the rate limit,
 * gets its deadline, then a place in the bulkhead; what refuses first costs least. Knows nothing of
 * frameworks but the objects of `node:http` beneath them.
 */

import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import { createError } from '../base/errors.ts';
import { addressKey } from './address-key.ts';
import type { Breaker } from './breaker.ts';
import { type Breakers, type BreakersOptions, createBreakers } from './breakers.ts';
import { Bulkhead, type BulkheadOptions, type Release } from './bulkhead.ts';
import type { Clock } from './clock.ts';
import { createDeadlines, type Deadline, type DeadlineOptions } from './deadline.ts';
import type { OnEvent } from './events.ts';
import { RateLimiter, type RateLimiterOptions } from './rate-limiter.ts';

/** Each part is there when it has options; `breakers` are always. */
export interface GuardOptions<Request> {
  /**
   * `key` says whose bucket it is; undefined for nobody's. By default the client's address, IPv6 by
   * /64.
   */
  readonly rateLimit?: RateLimiterOptions & { readonly key?: (request: Request) => string | undefined };
  readonly bulkhead?: BulkheadOptions;
  readonly deadline?: DeadlineOptions;
  /** Terms of `breaker(name)`. */
  readonly breakers?: BreakersOptions;
  /**
   * Requests that pass without limit, deadline and place: probes of whoever watches the service.
   */
  readonly isExempt?: (request: Request) => boolean;
  /** For all parts that have none of their own. */
  readonly onEvent?: OnEvent;
  readonly clock?: Clock;
}

/** One request, as the guard wants it from the framework. */
export interface Visit<Request> {
  readonly request: Request;
  readonly headers: IncomingHttpHeaders;
  readonly address: string | undefined;
  readonly response: ServerResponse;
  /** Set by a guard before this one. */
  readonly deadline: Deadline | undefined;
  setHeader(name: string, value: string): void;
  setDeadline(deadline: Deadline): void;
}

export class Guard<Request> {
  readonly limiter: RateLimiter | undefined;
  readonly bulkhead: Bulkhead | undefined;
  readonly breakers: Breakers;

  private readonly key: ((request: Request) => string | undefined) | undefined;
  private readonly isExempt: ((request: Request) => boolean) | undefined;
  private readonly deadlines: ReturnType<typeof createDeadlines> | undefined;

  constructor(options: GuardOptions<Request>) {
    const { rateLimit, bulkhead, deadline, breakers, clock, onEvent } = options;
    const common = { ...(clock === undefined ? {} : { clock }), ...(onEvent === undefined ? {} : { onEvent }) };
    this.limiter = rateLimit === undefined ? undefined : new RateLimiter({ ...common, ...rateLimit });
    this.bulkhead = bulkhead === undefined ? undefined : new Bulkhead({ ...common, ...bulkhead });
    this.deadlines = deadline === undefined ? undefined : createDeadlines({ ...common, ...deadline });
    this.breakers = createBreakers({ ...common, ...breakers });
    this.key = rateLimit?.key;
    this.isExempt = options.isExempt;
  }

  /** The breaker of what `name` stands for. */
  breaker(name: string): Breaker {
    return this.breakers.get(name);
  }

  /**
   * Calls `done` once the request may go on, or with the error that it is to be refused with. What
   * it holds it gives back when the response ends.
   */
  enter(visit: Visit<Request>, done: (error?: Error) => void): void {
    const { limiter, deadlines, bulkhead } = this;
    if (this.isExempt?.(visit.request)) {
      done();
      return;
    }
    if (limiter !== undefined) {
      const key = this.key === undefined ? addressKey(visit.address ?? '') : this.key(visit.request);
      const taken = key === undefined ? undefined : limiter.take(key);
      const fields = taken === undefined ? {} : limiter.headers(taken);
      for (const name of Object.keys(fields)) visit.setHeader(name, fields[name]!);
      if (taken?.isAllowed === false) {
        done(limiter.error(taken));
        return;
      }
    }
    if (deadlines === undefined && bulkhead === undefined) {
      done();
      return;
    }
    const stay = new Stay(visit.response);
    if (deadlines !== undefined) {
      // Within another guard's deadline there is never more time than that one has left.
      stay.deadline = deadlines(visit.headers, stay.gone.signal, visit.deadline?.remainingMs());
      visit.setDeadline(stay.deadline);
    }
    if (bulkhead === undefined) done();
    else this.takePlace(bulkhead, stay, done);
  }

  private takePlace(bulkhead: Bulkhead, stay: Stay, done: (error?: Error) => void): void {
    const release = bulkhead.tryAcquire();
    if (release !== undefined) {
      stay.hold(release);
      done();
      return;
    }
    bulkhead.acquire(stay.deadline?.signal ?? stay.gone.signal).then(
      (later) => {
        stay.hold(later);
        done();
      },
      (error: Error) => done(error),
    );
  }
}

/** What a request holds until its response is written, or its client has left. */
class Stay {
  /** Aborts when the client leaves before it has the response. */
  readonly gone = new AbortController();
  deadline: Deadline | undefined;

  private release: Release | undefined;
  private isOver = false;
  private readonly response: ServerResponse;
  private readonly onFinish = () => this.end();
  private readonly onClose = () => {
    this.gone.abort(createError('client_gone'));
    this.end();
  };

  constructor(response: ServerResponse) {
    this.response = response;
    response.once('finish', this.onFinish);
    response.once('close', this.onClose);
  }

  /** A place that comes when the client has left already is not kept. */
  hold(release: Release): void {
    if (this.isOver) release();
    else this.release = release;
  }

  private end(): void {
    this.isOver = true;
    this.response.off('finish', this.onFinish);
    this.response.off('close', this.onClose);
    this.deadline?.clear();
    this.release?.();
  }
}
