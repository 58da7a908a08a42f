/**
 * The parts as middleware of express, or of anything else that speaks `(request, response, next)`.
 * Refusals are answered here, with a status, their fields and a line of JSON: as errors they would
 * go to express's log with a stack each, and a flood would fill it.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Breaker } from './breaker.ts';
import type { Breakers } from './breakers.ts';
import type { Bulkhead } from './bulkhead.ts';
import type { Deadline } from './deadline.ts';
import { ResilienceError } from './errors.ts';
import { Guard, type GuardOptions } from './guard.ts';
import type { RateLimiter } from './rate-limiter.ts';

/** What of a request of express is used. */
export interface GuardedRequest extends IncomingMessage {
  /** As express finds it, behind `trust proxy`. */
  readonly ip?: string | undefined;
  /** There when the middleware has the option `deadline`. */
  deadline?: Deadline | undefined;
}

export type Next = (error?: unknown) => void;

export interface ExpressResilienceOptions<Request extends GuardedRequest = GuardedRequest> extends GuardOptions<Request> {
  /** Answers a refusal instead of the middleware; `next(error)` leaves it to the error handlers. */
  readonly onRefused?: (error: Error, request: Request, response: ServerResponse, next: Next) => void;
}

/** A middleware that also gives the parts it is made of. */
export interface ResilienceMiddleware<Request extends GuardedRequest> {
  (request: Request, response: ServerResponse, next: Next): void;
  /** The breaker of what `name` stands for. */
  breaker(name: string): Breaker;
  readonly breakers: Breakers;
  readonly limiter: RateLimiter | undefined;
  readonly bulkhead: Bulkhead | undefined;
}

/**
 * `app.use(resilience(options))`, or before single routes. Throws `config_not_valid` where an
 * option is out of its range.
 */
export function resilience<Request extends GuardedRequest = GuardedRequest>(
  options: ExpressResilienceOptions<Request> = {},
): ResilienceMiddleware<Request> {
  const guard = new Guard<Request>(options);
  const { onRefused = answer } = options;
  const middleware = (request: Request, response: ServerResponse, next: Next): void => {
    guard.enter(
      {
        request,
        headers: request.headers,
        address: request.ip ?? request.socket.remoteAddress,
        response,
        deadline: request.deadline,
        setHeader: (name, value) => void response.setHeader(name, value),
        setDeadline: (deadline) => {
          request.deadline = deadline;
        },
      },
      (error) => {
        if (error === undefined) next();
        else onRefused(error, request, response, next);
      },
    );
  };
  return Object.assign(middleware, {
    breaker: (name: string) => guard.breaker(name),
    breakers: guard.breakers,
    limiter: guard.limiter,
    bulkhead: guard.bulkhead,
  });
}

export default resilience;

/**
 * Nobody reads an answer to a client that left; anything that is no refusal is the service's own
 * mistake.
 */
function answer(error: Error, _request: GuardedRequest, response: ServerResponse, next: Next): void {
  if (response.destroyed) return;
  if (!(error instanceof ResilienceError)) {
    next(error);
    return;
  }
  response.writeHead(error.status, { 'content-type': 'application/json; charset=utf-8', ...error.headers });
  response.end(JSON.stringify({ code: error.code, message: error.message }));
}
