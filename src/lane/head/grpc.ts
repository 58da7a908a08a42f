/**
 * Tells whether a request is gRPC (gRPC over HTTP/2, "Requests"): a POST whose content-type begins
 * with `application/grpc`.
 */

import type { HeadReader } from '../../record/read.ts';
import { type FieldWalk, isAt } from './fields.ts';
import type { Lookups } from './lookups.ts';

const POST = Buffer.from('POST', 'latin1');
const CONTENT_TYPE = Buffer.from('application/grpc', 'latin1');
const PLUS = 0x2b;
const SEMICOLON = 0x3b;

export class GrpcSign {
  private readonly bytes: Uint8Array;
  private readonly walk: FieldWalk;

  constructor(lookups: Lookups) {
    this.bytes = lookups.bytes;
    this.walk = lookups.field('content-type');
  }

  isIn(head: HeadReader): boolean {
    const { bytes, walk } = this;
    if (head.methodLength !== POST.length || !isAt(bytes, head.methodByte, POST)) return false;
    walk.begin(head);
    if (!walk.next(head) || walk.length < CONTENT_TYPE.length || !isAt(bytes, walk.start, CONTENT_TYPE)) return false;
    if (walk.length === CONTENT_TYPE.length) return true;
    // `application/grpc-web` is another protocol, whose clients read HTTP statuses.
    const after = bytes[walk.start + CONTENT_TYPE.length]!;
    return after === PLUS || after === SEMICOLON;
  }
}
