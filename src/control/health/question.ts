/**
 * What active health asks of a backend, and when an answer is a good one. How it is asked stands
 * beside this, a file a protocol.
 */

import { usualAuthority } from '../../base/authority.ts';
import type { HealthSnapshot } from '../../config/snapshot/standing.ts';
import type { BackendSnapshot } from '../../config/snapshot/upstream.ts';

/** Everything there is to know for one check; the address comes with each. */
export interface Question {
  readonly protocol: HealthSnapshot['protocol'];
  readonly scheme: BackendSnapshot['scheme'];
  readonly method: 'GET' | 'HEAD';
  readonly path: string;
  readonly authority: string;
  /**
   * As traffic sees the backend: name for TLS, roots (PEM, empty for the system's), whether it is
   * verified.
   */
  readonly serverName: string;
  readonly caPem: string;
  readonly isVerified: boolean;
  /** Shown to the backend when it asks. */
  readonly clientCertificate: BackendSnapshot['clientCertificate'];
  readonly minTlsVersion: string;
  readonly maxTlsVersion: string;
  readonly pins: readonly string[];
  readonly timeoutMs: number;
  /** Bytes of the body that are wanted; 0 when nobody looks at it. */
  readonly bodyBytes: number;
}

export interface Reply {
  readonly status: number;
  /** As much of the body as was wanted. */
  readonly body: string;
}

/**
 * Asks once, on a connection of its own. Rejects with what went wrong; when `signal` aborts it ends
 * at once and leaves nothing open.
 */
export type Ask = (ip: string, port: number, signal: AbortSignal) => Promise<Reply>;

/** How much of a body is searched for the expected text. */
const MAX_BODY_BYTES = 65_536;

/** What is sent as `user-agent`, so that backends can tell checks from traffic. */
export const USER_AGENT = 'lychgate-health';

export function questionOf(backend: BackendSnapshot, health: HealthSnapshot): Question {
  return {
    protocol: health.protocol,
    scheme: backend.scheme,
    method: health.method,
    path: health.path,
    authority: health.host === '' ? usualAuthority(backend) : health.host,
    serverName: backend.serverName,
    caPem: backend.caPem,
    isVerified: backend.isVerified,
    clientCertificate: backend.clientCertificate,
    minTlsVersion: backend.minTlsVersion,
    maxTlsVersion: backend.maxTlsVersion,
    pins: backend.pins,
    timeoutMs: health.timeoutMs,
    bodyBytes: health.body === '' ? 0 : MAX_BODY_BYTES,
  };
}

/** What is wrong with `reply`, in one line; empty when it is good. */
export function faultOf(reply: Reply, health: HealthSnapshot): string {
  if (!health.statuses.includes(reply.status)) return `status ${reply.status}`;
  if (health.body !== '' && !reply.body.includes(health.body)) return 'the body lacks the expected text';
  return '';
}
