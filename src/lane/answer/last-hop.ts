/**
 * What OPTIONS and TRACE get whose Max-Forwards says that nobody may send them on (RFC 9110
 * §7.6.2): the edge answers as the final recipient. The reactor puts the head of TRACE into its
 * answer.
 */

import type { RouteSnapshot } from '../../config/snapshot/route.ts';
import type { HeadReader } from '../../record/read.ts';
import { type Answer, respondBytes } from '../../record/write.ts';

const TRACED: Answer = {
  status: 200,
  fields: [
    ['content-type', 'message/http'],
    ['cache-control', 'no-store'],
  ],
  body: '',
};

/** Of routes that take every method: what their backends take the edge does not know. */
const ANY: Answer = { status: 204, fields: [], body: '' };

/** No other methods have the flag. */
const TRACE_LENGTH = 'TRACE'.length;

export class LastHopAnswer {
  /** The most bytes that an answer takes as a record. */
  readonly maxBytes: number;
  private readonly options: Answer;

  constructor({ match: { methods } }: RouteSnapshot) {
    this.options = methods.length === 0 ? ANY : { status: 204, fields: [['allow', methods.join(', ')]], body: '' };
    this.maxBytes = Math.max(respondBytes(TRACED), respondBytes(this.options));
  }

  of(head: HeadReader): Answer {
    return head.methodLength === TRACE_LENGTH ? TRACED : this.options;
  }
}
