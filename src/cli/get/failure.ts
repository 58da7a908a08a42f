/**
 * Turns what the HTTP/3 client and the resolver throw into a sentence and an exit status. The only
 * file of the command that knows their codes.
 */

/** How the command ends when there is no response. */
export interface Failure {
  /** Said on stderr. */
  readonly text: string;
  /** Exit status, curl's number for the same failure. */
  readonly exit: number;
}

/** Something the user can mend on the command line. Exit status 2. */
export class UsageError extends Error {}

/** The peer took longer than `--timeout`. Exit status 28. */
export class TimeoutError extends Error {}

/**
 * The connection was closed before it was up. `quicCode` is the transport's error code (RFC 9000
 * §20.1).
 */
export class HandshakeError extends Error {
  readonly quicCode: number;

  constructor(quicCode: number) {
    super(isAlert(quicCode) ? `TLS alert ${quicCode - 0x100}` : `QUIC error 0x${quicCode.toString(16)}`);
    this.quicCode = quicCode;
  }
}

/** Whether a connection was closed with a TLS alert (RFC 9001 §4.8). */
export function isAlert(quicCode: number): boolean {
  return quicCode >= 0x100 && quicCode < 0x200;
}

/** certificate_required (RFC 8446 §6.2). */
const CERTIFICATE_REQUIRED = 0x100 + 116;

/**
 * TLS alerts that speak of the certificate, as QUIC carries them: 0x100 + alert (RFC 9001 §4.8).
 */
const CERTIFICATE_ALERTS: ReadonlySet<number> = new Set([42, 43, 44, 45, 46, 48].map((alert) => 0x100 + alert));

/** What the client library adds to its errors. */
interface ClientError extends Error {
  readonly code?: string;
  readonly quicCode?: number;
  readonly h3Code?: number;
}

/** Sentence and exit status for anything thrown on the way. */
export function toFailure(thrown: unknown, url: string): Failure {
  const error = (thrown instanceof Error ? thrown : new Error(String(thrown))) as ClientError;
  if (error instanceof UsageError) return { text: error.message, exit: 2 };
  if (error instanceof TimeoutError) return { text: error.message, exit: 28 };
  if (error.code === 'ERR_HTTP3_ENDPOINT_RESOLUTION') return { text: `the name in ${url} cannot be resolved: ${error.message}`, exit: 6 };
  if (error.quicCode === CERTIFICATE_REQUIRED) {
    return { text: `${url} wants a certificate of the client (${error.message}), and this command has none to show`, exit: 56 };
  }
  if (isCertificateFailure(error)) {
    return {
      text: `the certificate of ${url} is not trusted (${error.message}); --ca names one to trust, --insecure skips the check`,
      exit: 60,
    };
  }
  if (error.h3Code !== undefined) return { text: `the exchange was reset with ${h3CodeName(error.h3Code)}`, exit: 56 };
  if (/timed? ?out/i.test(error.message)) return { text: `${url} does not answer over QUIC: ${error.message}`, exit: 28 };
  if (error.code === 'ERR_HTTP3_STREAM_ERROR' || error.code === 'ERR_HTTP3_GOAWAY')
    return { text: `the exchange failed: ${error.message}`, exit: 56 };
  return { text: `no connection to ${url}: ${error.message}`, exit: 7 };
}

function isCertificateFailure(error: ClientError): boolean {
  return (error.quicCode !== undefined && CERTIFICATE_ALERTS.has(error.quicCode)) || /certificate|tls ?fail/i.test(error.message);
}

/** Name of an HTTP/3 error code (RFC 9114 §8.1), or the number. */
function h3CodeName(code: number): string {
  return H3_CODES[code] ?? `code 0x${code.toString(16)}`;
}

const H3_CODES: Readonly<Record<number, string>> = {
  256: 'H3_NO_ERROR',
  257: 'H3_GENERAL_PROTOCOL_ERROR',
  258: 'H3_INTERNAL_ERROR',
  259: 'H3_STREAM_CREATION_ERROR',
  260: 'H3_CLOSED_CRITICAL_STREAM',
  261: 'H3_FRAME_UNEXPECTED',
  262: 'H3_FRAME_ERROR',
  263: 'H3_EXCESSIVE_LOAD',
  264: 'H3_ID_ERROR',
  265: 'H3_SETTINGS_ERROR',
  266: 'H3_MISSING_SETTINGS',
  267: 'H3_REQUEST_REJECTED',
  268: 'H3_REQUEST_CANCELLED',
  269: 'H3_REQUEST_INCOMPLETE',
  270: 'H3_MESSAGE_ERROR',
  271: 'H3_CONNECT_ERROR',
  272: 'H3_VERSION_FALLBACK',
};
