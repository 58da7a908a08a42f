/** Routes that answer by themselves: redirects and fixed responses. */

import type { RouteSnapshot } from '../../config/snapshot.ts';
import type { HeadReader } from '../../record/read.ts';
import type { Answer } from '../../record/write.ts';

export class OwnAnswer {
  /** The most bytes that an answer of this route takes as a record. */
  readonly maxBytes: number = 0;
  /** Number of the reason in the registry: `redirected` or `fixed_response`. */
  readonly reason: number = 0;

  /** The answer that `route` gives, or undefined when it forwards. */
  static of(_route: RouteSnapshot, _bytes: Uint8Array): OwnAnswer | undefined {
    return undefined;
  }

  answer(_head: HeadReader): Answer {
    throw new Error('no route answers by itself yet');
  }
}
