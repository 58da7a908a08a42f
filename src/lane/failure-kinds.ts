/**
 * Maps the words that operators use for failed attempts (`connect`, `refused`, `reset`, `timeout`)
 * to reasons. Retries use them; breakers also count what happens after the response head
 * (`standing/terms.ts`). Failures caused by the client are in none.
 */

import type { ReasonCode } from '../base/errors.ts';

const TLS = [
  'tls_failed',
  'tls_issuer_unknown',
  'tls_name_mismatch',
  'tls_certificate_expired',
  'tls_certificate_not_yet_valid',
  'tls_certificate_invalid',
  'tls_plain_text',
  'tls_not_agreed',
  'tls_alert',
  'tls_closed',
  'tls_pin_mismatch',
  'tls_certificate_required',
] as const satisfies readonly ReasonCode[];
export const CONNECT = [
  'connect_failed',
  'connect_timeout',
  ...TLS,
  'name_not_resolved',
  'sessions_exhausted',
] as const satisfies readonly ReasonCode[];
export const REFUSED = ['backend_refused', 'backend_goaway'] as const satisfies readonly ReasonCode[];
export const RESET = [
  'backend_reset',
  'backend_closed',
  'backend_protocol_error',
  'backend_head_too_large',
  // A fault of ours that ended the session: it does not count against the backend, and the request
  // may be sent again.
  'internal_error',
] as const satisfies readonly ReasonCode[];
export const TIMEOUT = ['head_timeout', 'attempt_timeout'] as const satisfies readonly ReasonCode[];
