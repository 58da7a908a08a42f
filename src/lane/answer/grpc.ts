/**
 * Answers of the edge to gRPC clients: trailers-only, status 200 with the failure in `grpc-status`,
 * where clients look for it. The status is the one that a gRPC client would derive from the HTTP
 * status (gRPC, "HTTP to gRPC Status Code Mapping").
 */

import type { Answer } from '../../record/write.ts';

const UNKNOWN = 2;
export const DEADLINE_EXCEEDED = 4;
const STATUSES: Readonly<Record<number, number>> = { 400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14 };

/** Fields that describe a body, which the answer does not have. */
const OF_BODY = new Set(['content-type', 'content-encoding', 'content-length']);

/** The gRPC status for an HTTP status. */
export function grpcStatusOf(status: number): number {
  return STATUSES[status] ?? UNKNOWN;
}

/**
 * `answer` for a gRPC client; `message` is for people, in printable ASCII. An answer that already
 * has a gRPC status is not changed.
 */
export function grpcAnswer(answer: Answer, message: string, status: number = grpcStatusOf(answer.status)): Answer {
  if (answer.fields.some(([name]) => name === 'grpc-status')) return answer;
  return {
    status: 200,
    fields: [
      ['content-type', 'application/grpc'],
      ['grpc-status', String(status)],
      // Percent-encoding: in printable ASCII only the percent sign needs it.
      ['grpc-message', message.replaceAll('%', '%25')],
      ...answer.fields.filter(([name]) => !OF_BODY.has(name)),
    ],
    body: '',
  };
}
