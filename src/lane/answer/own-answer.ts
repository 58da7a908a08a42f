/** Routes that answer without a backend: redirects and fixed responses. */

import { reasonNumber } from '../../base/errors.ts';
import type { RouteSnapshot } from '../../config/snapshot/route.ts';
import type { HeadReader } from '../../record/read.ts';
import { type Answer, respondBytes } from '../../record/write.ts';
import { FixedAnswer } from './fixed-answer.ts';
import { grpcAnswer } from './grpc.ts';
import { Location, MAX_LOCATION_BYTES } from './location.ts';

/** The answer if the redirect would be too long. */
const TOO_LONG: Answer = { status: 414, fields: [['cache-control', 'no-store']], body: '' };

export class OwnAnswer {
  /** Upper bound of the bytes that this route's answer takes as a record. */
  readonly maxBytes: number;
  /** Number of the reason: `redirected` or `fixed_response`. */
  readonly reason: number;

  private readonly fixed: FixedAnswer | undefined;
  private readonly location: Location | undefined;
  private readonly status: number;

  /** The answer of `route`; undefined if it forwards. */
  static of(route: RouteSnapshot): OwnAnswer | undefined {
    return route.redirect === undefined && route.fixed === undefined ? undefined : new OwnAnswer(route);
  }

  private constructor({ redirect, fixed }: RouteSnapshot) {
    this.fixed = fixed === undefined ? undefined : new FixedAnswer(fixed, 'fixed_response');
    this.location = redirect === undefined ? undefined : new Location(redirect);
    this.status = redirect?.status ?? 0;
    this.reason = reasonNumber(redirect === undefined ? 'fixed_response' : 'redirected');
    const longest = this.redirectTo('/'.repeat(MAX_LOCATION_BYTES));
    this.maxBytes = this.fixed?.maxBytes ?? respondBytes(grpcAnswer(longest, 'redirected'));
  }

  answer(head: HeadReader, isGrpc: boolean): Answer {
    if (this.fixed !== undefined) return this.fixed.of(isGrpc);
    const location = this.location!.of(head);
    const answer = location === undefined ? TOO_LONG : this.redirectTo(location);
    return isGrpc ? grpcAnswer(answer, 'redirected') : answer;
  }

  private redirectTo(location: string): Answer {
    return { status: this.status, fields: [['location', location]], body: '' };
  }
}
