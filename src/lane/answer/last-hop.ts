/**
 * Answers to OPTIONS and TRACE whose Max-Forwards forbids forwarding (RFC 9110 §7.6.2): the edge
 * answers as the final recipient. The reactor puts the head of TRACE into its answer.
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

/** For routes that take every method: the edge does not know which ones their backends support. */
const ANY: Answer = { status: 204, fields: [], body: '' };

/** Only these two methods have the flag. */
const TRACE_LENGTH = 'TRACE'.length;

export class LastHopAnswer {
  /** Upper bound of an answer's bytes as a record. */
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
