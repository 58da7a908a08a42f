/**
 * The edge's own answers: the status and code of the error registry and the request id as a small
 * JSON body. They reveal nothing about the backends. The reactor drops the body for HEAD and writes
 * content-length.
 */

import { reasonByNumber } from '../../base/errors.ts';
import type { Answer } from '../../record/write.ts';
import { grpcAnswer } from './grpc.ts';

/**
 * Upper bound of an answer as a record: a request id has at most 128 bytes, and each may be escaped
 * to six.
 */
export const MAX_ANSWER_BYTES = 1_280;

const MAX_ID_LENGTH = 128;

const FIELDS = [
  ['content-type', 'application/json'],
  ['cache-control', 'no-store'],
] as const;

const NO_FIELDS: Answer['fields'] = [];

/**
 * The answer for a reason of the registry, with optional extra fields. `requestId` is empty if
 * unknown.
 */
export function answerFor(reason: number, requestId: string, isGrpc: boolean, more: Answer['fields'] = NO_FIELDS): Answer {
  const entry = reasonByNumber(reason);
  const { status } = entry;
  // Clients are not told what is wrong with a backend's certificate (`Reason::told` in the
  // reactor).
  const code = entry.code.startsWith('tls_') ? 'tls_failed' : entry.code;
  // 499 is for logs and metrics and is never sent. A reason without a status would be a bug.
  const sent = status === 0 || status === 499 ? 500 : status;
  if (isGrpc) return grpcAnswer({ status: sent, fields: more, body: '' }, code, entry.grpcStatus);
  const id = requestId === '' ? '' : `,"request_id":${asciiJson(requestId.slice(0, MAX_ID_LENGTH))}`;
  return { status: sent, fields: more.length === 0 ? FIELDS : [...FIELDS, ...more], body: `{"error":"${code}","status":${sent}${id}}\n` };
}

/** JSON in ASCII, so that its Latin-1 bytes are valid UTF-8. */
function asciiJson(text: string): string {
  return JSON.stringify(text).replace(/[\u007f-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
