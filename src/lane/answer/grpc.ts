/**
 * Answers of the edge to gRPC clients: trailers-only, status 200 and the failure in `grpc-status`,
 * because that is where they look. The status is what a gRPC client would make of the HTTP status
 * by itself (gRPC, "HTTP to gRPC Status Code Mapping").
 */

import type { Answer } from '../../record/write.ts';

const UNKNOWN = 2;
export const DEADLINE_EXCEEDED = 4;
const STATUSES: Readonly<Record<number, number>> = { 400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14 };

/** Fields of an answer that tell of a body there is none of. */
const OF_BODY = new Set(['content-type', 'content-encoding', 'content-length']);

/** gRPC status for a status of HTTP. */
export function grpcStatusOf(status: number): number {
  return STATUSES[status] ?? UNKNOWN;
}

/**
 * `answer` as a gRPC client reads it; `message` is for people and printable ASCII. One that says a
 * gRPC status already stays as it is.
 */
export function grpcAnswer(answer: Answer, message: string, status: number = grpcStatusOf(answer.status)): Answer {
  if (answer.fields.some(([name]) => name === 'grpc-status')) return answer;
  return {
    status: 200,
    fields: [
      ['content-type', 'application/grpc'],
      ['grpc-status', String(status)],
      // Percent-encoded, of which only the percent sign itself is in question here.
      ['grpc-message', message.replaceAll('%', '%25')],
      ...answer.fields.filter(([name]) => !OF_BODY.has(name)),
    ],
    body: '',
  };
}
